/** Images become files: the file system itself, free of FUSE types. Transports translate (A9.1). */
import { constants } from 'node:fs';
import type { AttachmentPool } from '../attach/contract/lease.js';
import type { Clock } from '../async/clock.js';
import { withDeadline } from '../async/deadline.js';
import type { Catalog, CatalogImage, WantedImage } from '../cinder/contract/catalog.js';
import { CinderfsError, reasonOf } from '../errors.js';
import type { Log } from '../log.js';
import { IO_SIZE, type Ownership } from './tree/attributes.js';
import { NAME_MAX } from './tree/file-names.js';
import type {
  Attributes,
  CallContext,
  DirectoryEntry,
  FileMemo,
  Filesystem,
  FilesystemStats,
  InvalidatedEntry,
  OpenFile,
} from './contract/filesystem.js';
import { parentOf, type DirectoryNode, type TreeNode } from './tree/image-tree.js';
import { wantedBy } from './tree/image-wanted.js';
import { LiveTree } from './tree/live-tree.js';
import type { OpenFiles } from './open-files.js';
import { StatusFile } from './tree/status-file.js';
import { imageXattrs, UNLISTED_XATTRS } from './tree/xattrs.js';

export interface ImageFsParts {
  readonly catalog: Catalog;
  readonly pool: AttachmentPool;
  readonly files: OpenFiles;
  /** The daemon's status as JSON text, for `/.cinderfs/status`. */
  readonly status: () => string;
  readonly clock: Clock;
  readonly log: Log;
  readonly owner: Ownership;
  /** Milliseconds a lookup of an unknown name waits for the catalog to look again. */
  readonly lookupTimeoutMs: number;
  /** Ends what was wired beside the file system and shares its life. */
  readonly onClose: () => void;
}

/**
 * The tree answers lookup, stat and listing from memory; OpenFiles owns everything between open and release. Only
 * two calls may wait on the network: open (to attach) and the lookup of an unknown name (a question about that image).
 */
export class ImageFs implements Filesystem {
  readonly #parts: ImageFsParts;
  readonly #tree: LiveTree;
  readonly #files: OpenFiles;
  readonly #status: StatusFile;

  constructor(parts: ImageFsParts) {
    this.#parts = parts;
    this.#tree = new LiveTree(parts.catalog, parts.owner);
    this.#files = parts.files;
    this.#status = new StatusFile(parts.status, () => parts.files.changes, parts.clock, parts.owner);
  }

  /** Open handles, for `cinderfs status` and for tests that end with every gauge at zero. */
  get openFiles(): number {
    return this.#files.size;
  }

  /** Which image each open handle is of, for `cinderfs status`. */
  opened(): ReturnType<OpenFiles['opened']> {
    return this.#files.opened();
  }

  async lookup(parent: number, name: string, context: CallContext = {}): Promise<Attributes> {
    if (name === '.') return this.getattr(parent);
    if (name === '..') return this.getattr(parentOf(this.#tree.current, parent));
    if (Buffer.byteLength(name) > NAME_MAX)
      throw new CinderfsError('name_too_long', `a name has ${NAME_MAX} bytes at most`);
    const known = this.#child(parent, name);
    if (known !== undefined) return this.#attributes(known);
    const wanted = wantedBy(this.#tree.current, parent, name);
    if (wanted !== undefined) await this.#find(wanted, context.signal);
    const found = this.#child(parent, name);
    if (found === undefined) throw new CinderfsError('image_not_found', `no image is called ${name}`);
    return this.#attributes(found);
  }

  async getattr(node: number): Promise<Attributes> {
    const entry = this.#tree.current.nodes.get(node);
    if (entry !== undefined) return this.#attributes(entry);
    // An image that left the catalog still answers stat for its open files.
    const attributes = this.#files.attributesOf(node);
    if (attributes === undefined) throw gone(node);
    return Promise.resolve(attributes);
  }

  async readdir(node: number): Promise<readonly DirectoryEntry[]> {
    return Promise.resolve(this.#directory(node).entries);
  }

  async readlink(node: number): Promise<string> {
    const entry = this.#node(node);
    if (entry.is !== 'symlink') throw new CinderfsError('unsupported', `node ${node} is not a symlink`);
    return Promise.resolve(entry.target);
  }

  async open(node: number, flags: number, context: CallContext = {}): Promise<OpenFile> {
    if ((flags & WRITE_FLAGS) !== 0)
      throw new CinderfsError('read_only', 'images are opened for reading only');
    const entry = this.#node(node);
    switch (entry.is) {
      case 'image':
        return this.#files.openImage(entry.image, entry.attributes, context);
      case 'status': {
        const text = this.#status.snapshot();
        return this.#files.openText(text, this.#status.attributes(node, text.length));
      }
      case 'directory':
        throw new CinderfsError('is_a_directory', `node ${node} is a directory`);
      case 'symlink':
        throw new CinderfsError('unsupported', `node ${node} is a symlink: open what it points to`);
    }
  }

  async reopen(memo: FileMemo): Promise<OpenFile> {
    return this.#files.reopen(memo, () => this.#status.snapshot());
  }

  async read(handle: number, offset: number, length: number, context: CallContext = {}): Promise<Buffer> {
    return this.#files.read(handle, offset, length, context);
  }

  async seek(
    handle: number,
    offset: number,
    whence: 'data' | 'hole',
    context: CallContext = {},
  ): Promise<number> {
    return this.#files.seek(handle, offset, whence, context);
  }

  readFailed(handle: number, error: CinderfsError): void {
    this.#files.noteReadFailure(handle, error);
  }

  release(handle: number): void {
    this.#files.release(handle);
  }

  async getxattr(node: number, name: string): Promise<Buffer> {
    const value = this.#xattrs(node).get(name);
    if (value === undefined) throw new CinderfsError('no_attribute', `there is no attribute ${name}`);
    return Promise.resolve(Buffer.from(value));
  }

  async listxattr(node: number): Promise<readonly string[]> {
    return Promise.resolve([...this.#xattrs(node).keys()].filter((name) => !UNLISTED_XATTRS.has(name)));
  }

  async statfs(): Promise<FilesystemStats> {
    let bytes = 0;
    for (const { size } of this.#parts.catalog.snapshot.images.values()) bytes += size;
    const files = this.#tree.current.nodes.size;
    return Promise.resolve({
      blockSize: IO_SIZE,
      blocks: Math.ceil(bytes / IO_SIZE),
      files,
      nameMax: NAME_MAX,
    });
  }

  onInvalidate(listener: (entry: InvalidatedEntry) => void): () => void {
    return this.#tree.onChange(listener);
  }

  /** Gives back whatever is still open and stops listening to the catalog. The transport is down by then. */
  close(): void {
    this.#tree.close();
    this.#files.close();
    this.#parts.onClose();
  }

  #node(node: number): TreeNode {
    const entry = this.#tree.current.nodes.get(node);
    if (entry === undefined) throw gone(node);
    return entry;
  }

  #directory(node: number): DirectoryNode {
    const entry = this.#node(node);
    if (entry.is === 'directory') return entry;
    throw new CinderfsError('not_a_directory', `node ${node} is not a directory`);
  }

  #child(parent: number, name: string): TreeNode | undefined {
    return this.#directory(parent).children.get(name);
  }

  #attributes(entry: TreeNode): Attributes {
    if (entry.is !== 'status') return entry.attributes;
    return (
      this.#files.attributesOf(entry.node) ??
      this.#status.attributes(entry.node, this.#status.snapshot().length)
    );
  }

  #xattrs(node: number): Map<string, string> {
    const entry = this.#tree.current.nodes.get(node);
    // An image that left the catalog still answers for its open files.
    const image = entry === undefined ? this.#files.imageOf(node) : imageIn(entry);
    if (entry === undefined && image === undefined) throw gone(node);
    return image === undefined ? new Map<string, string>() : imageXattrs(image, this.#parts.pool);
  }

  /** Rate-limited by the catalog. When the cloud cannot be asked, the snapshot has the last word. */
  async #find(wanted: WantedImage, signal: AbortSignal | undefined): Promise<void> {
    const { catalog, clock, lookupTimeoutMs: ms, log } = this.#parts;
    const onTimeout = (): CinderfsError => new CinderfsError('http_timeout', 'the catalog did not answer');
    try {
      await withDeadline(catalog.find(wanted, { signal }), { clock, ms, onTimeout, signal });
    } catch (error) {
      if (signal?.aborted === true) throw error;
      log.debug({ reason: reasonOf(error) }, 'unknown name, and the cloud could not be asked');
    }
  }
}

/** Flags of open(2) that ask for more than reading. */
const WRITE_FLAGS = constants.O_WRONLY | constants.O_RDWR | constants.O_TRUNC | constants.O_CREAT;

function imageIn(entry: TreeNode): CatalogImage | undefined {
  return entry.is === 'image' ? entry.image : undefined;
}

function gone(node: number): CinderfsError {
  return new CinderfsError('image_not_found', `node ${node} is gone`);
}
