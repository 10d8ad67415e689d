import type { Source } from '../../src/sources/contract/source.js';
import { CinderfsError } from '../../src/errors.js';
import type {
  Attributes,
  CallContext,
  DirectoryEntry,
  Filesystem,
  FilesystemStats,
  InvalidatedEntry,
  OpenFile,
} from '../../src/fs/contract/filesystem.js';
import { ROOT_NODE } from '../../src/fs/contract/filesystem.js';

/** A file of the double: bytes in memory, or a source that the transport may read itself. */
export interface MemoryFile {
  readonly name: string;
  readonly size: number;
  readonly content?: Buffer;
  readonly source?: Source;
  readonly target?: string;
  /** Runs before open answers: a test's attach that waits, fails or never ends. */
  readonly opening?: (signal: AbortSignal | undefined) => Promise<void>;
  /** Runs before read answers. */
  readonly reading?: () => Promise<void>;
  readonly attributes?: Readonly<Record<string, string>>;
}

/** A Filesystem without images: one flat directory, every call counted. */
export class MemoryFilesystem implements Filesystem {
  readonly calls: Record<string, number> = {};
  /** What the transport told of reads that failed. */
  readonly failures: { readonly file: string | undefined; readonly code: string }[] = [];
  readonly openHandles = new Map<number, { readonly file: MemoryFile; readonly fence: AbortController }>();
  readonly #files = new Map<number, MemoryFile>();
  readonly #listeners = new Set<(entry: InvalidatedEntry) => void>();
  #nextNode = 1000;
  #nextHandle = 1;

  constructor(files: readonly MemoryFile[] = []) {
    for (const file of files) this.add(file);
  }

  add(file: MemoryFile): number {
    this.#nextNode += 1;
    this.#files.set(this.#nextNode, file);
    return this.#nextNode;
  }

  /** Removes a file and tells the transport. */
  remove(name: string): void {
    for (const [node, file] of this.#files) {
      if (file.name !== name) continue;
      this.#files.delete(node);
      for (const listener of this.#listeners) listener({ parent: ROOT_NODE, name, node });
    }
  }

  /** Fences every open file of that name. */
  fence(name: string, reason: CinderfsError): void {
    for (const { file, fence } of this.openHandles.values()) if (file.name === name) fence.abort(reason);
  }

  lookup(parent: number, name: string): Promise<Attributes> {
    this.#count('lookup');
    if (name === '.') return this.getattr(parent);
    if (name === '..') return this.getattr(ROOT_NODE);
    if (parent !== ROOT_NODE) throw new CinderfsError('not_a_directory', 'no directory');
    for (const [node, file] of this.#files) if (file.name === name) return Promise.resolve(stat(node, file));
    return Promise.reject(new CinderfsError('image_not_found', `no ${name}`));
  }

  async getattr(node: number): Promise<Attributes> {
    this.#count('getattr');
    return Promise.resolve(stat(node, node === ROOT_NODE ? undefined : this.#file(node)));
  }

  readdir(): Promise<readonly DirectoryEntry[]> {
    this.#count('readdir');
    return Promise.resolve(
      [...this.#files].map(([node, file]) => ({ name: file.name, attributes: stat(node, file) })),
    );
  }

  async readlink(node: number): Promise<string> {
    return Promise.resolve(this.#file(node).target ?? '');
  }

  async open(node: number, _flags: number, context?: CallContext): Promise<OpenFile> {
    this.#count('open');
    const file = this.#file(node);
    await file.opening?.(context?.signal);
    const handle = this.#nextHandle++;
    const fence = new AbortController();
    this.openHandles.set(handle, { file, fence });
    return { handle, node, size: file.size, source: file.source, fenced: fence.signal };
  }

  async read(handle: number, offset: number, length: number): Promise<Buffer> {
    this.#count('read');
    const opened = this.openHandles.get(handle);
    if (opened === undefined) throw new CinderfsError('bad_handle', 'closed');
    const { file, fence } = opened;
    await file.reading?.();
    fence.signal.throwIfAborted();
    if (file.content === undefined && file.source !== undefined)
      throw new CinderfsError('read_failed', 'what the workers could not read cannot be read here either');
    const end = Math.min(offset + length, file.size);
    return file.content?.subarray(offset, end) ?? Buffer.alloc(Math.max(0, end - offset), 0x5a);
  }

  seek(_handle: number, offset: number, whence: 'data' | 'hole'): Promise<number> {
    this.#count('seek');
    const file = this.openHandles.get(_handle)?.file;
    return Promise.resolve(whence === 'data' ? offset : (file?.size ?? 0));
  }

  readFailed(handle: number, error: CinderfsError): void {
    this.failures.push({ file: this.openHandles.get(handle)?.file.name, code: error.code });
  }

  release(handle: number): void {
    this.#count('release');
    if (!this.openHandles.delete(handle)) throw new Error(`handle ${handle} was released twice`);
  }

  async getxattr(node: number, name: string): Promise<Buffer> {
    this.#count('getxattr');
    const value = this.#files.get(node)?.attributes?.[name];
    if (value === undefined) throw new CinderfsError('no_attribute', name);
    return Promise.resolve(Buffer.from(value));
  }

  async listxattr(node: number): Promise<readonly string[]> {
    return Promise.resolve(Object.keys(this.#files.get(node)?.attributes ?? {}));
  }

  statfs(): Promise<FilesystemStats> {
    return Promise.resolve({ blockSize: 1 << 20, blocks: 2 ** 33, files: this.#files.size, nameMax: 255 });
  }

  onInvalidate(listener: (entry: InvalidatedEntry) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #file(node: number): MemoryFile {
    const file = this.#files.get(node);
    if (file === undefined) throw new CinderfsError('image_not_found', `no node ${node}`);
    return file;
  }

  #count(call: string): void {
    this.calls[call] = (this.calls[call] ?? 0) + 1;
  }
}

function stat(node: number, file: MemoryFile | undefined): Attributes {
  const kind = file === undefined ? 'directory' : file.target === undefined ? 'file' : 'symlink';
  return {
    node,
    kind,
    permissions: { directory: 0o755, file: 0o440, symlink: 0o777 }[kind],
    size: file?.target?.length ?? file?.size ?? 0,
    links: 1,
    uid: 0,
    gid: 0,
    modifiedMs: 1_700_000_000_123,
    changedMs: 1_700_000_000_456,
  };
}
