/** Open files: from the lease that open() takes to the lease that release() gives back. */
import { setMaxListeners } from 'node:events';
import type { AttachmentPool, Lease } from '../attach/contract/lease.js';
import type { Clock } from '../async/clock.js';
import { withDeadline } from '../async/deadline.js';
import type { CatalogImage } from '../cinder/contract/catalog.js';
import { CinderfsError } from '../errors.js';
import { memoOf, parseMemo } from './file-memo.js';
import type { Attributes, CallContext, FileMemo, OpenFile } from './contract/filesystem.js';
import { Handles, type Handle, type ImageHandle } from './handles.js';
import { withReadDeadline } from './read-deadline.js';
import { type OpenedPath, ReadPath } from './read-path.js';
import type { ReaderPool } from '../sources/reader-pool.js';
import type { SourceKinds } from '../sources/source-kinds.js';

export interface OpenFilesParts {
  readonly pool: AttachmentPool;
  readonly readers: ReaderPool;
  readonly sources: Pick<SourceKinds, 'needsProof' | 'publishOpens'>;
  readonly clock: Clock;
  /** Milliseconds a read (or opening the source) may take. */
  readonly readTimeoutMs: number;
  /** Told of a volume whose cached bytes must not be served any more: fenced, or not the volume it was. */
  readonly distrust: (volume: string) => void;
  /** Told of every read that failed, for `user.cinderfs.last_error` and the metrics. */
  readonly onReadError?: ((imageId: string, error: CinderfsError) => void) | undefined;
}

export class OpenFiles {
  readonly #parts: OpenFilesParts;
  readonly #handles = new Handles();
  readonly #watched = new WeakSet<AbortSignal>();
  #changes = 0;

  constructor(parts: OpenFilesParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#handles.size;
  }

  /** Grows whenever an image is opened or closed. */
  get changes(): number {
    return this.#changes;
  }

  /** Every open image handle, oldest first. */
  opened(): readonly { readonly handle: number; readonly imageId: string }[] {
    return this.#handles.images().map(({ number, image }) => ({ handle: number, imageId: image.id }));
  }

  /** The attributes of a node for its open files; undefined when it has none. */
  attributesOf(node: number): Attributes | undefined {
    return this.#handles.findByNode(node)?.attributes;
  }

  /** The image of a node for its open files. */
  imageOf(node: number): CatalogImage | undefined {
    const handle = this.#handles.findByNode(node);
    return handle?.is === 'image' ? handle.image : undefined;
  }

  /**
   * Takes a lease and opens its source, unless the caller reads that itself: then it is opened when a read comes here.
   * A caller that leaves, or fails, gives the lease back.
   */
  async openImage(image: CatalogImage, attributes: Attributes, context: CallContext): Promise<OpenFile> {
    const where = { image: image.id, volume: image.volumeId };
    const lease = await this.#acquire(image, context);
    const through = this.#path(lease, image.size);
    try {
      const isLater = context.readsItself === true && this.#parts.sources.publishOpens(lease.source);
      if (!isLater) await this.#opened(through, context);
      lease.fenced.throwIfAborted();
      const handle = this.#handles.add({
        is: 'image',
        image,
        attributes,
        lease,
        through,
        unreadable: false,
      });
      this.#changes += 1;
      const memo = memoOf({ is: 'image', image, attributes });
      const { source, fenced } = lease;
      return { ...describe(handle), source, connection: through.connection, fenced, memo };
    } catch (error) {
      through.close();
      const failure = CinderfsError.from(error, 'read_failed').within(where);
      // A source that cannot even be opened is not worth lingering on: the next opener gets a new attachment.
      lease.release({ evict: failure.code === 'read_failed' });
      throw failure;
    }
  }

  /** Opens a file whose whole text is known. */
  openText(text: Buffer, attributes: Attributes): OpenFile {
    const handle = this.#handles.add({ is: 'text', text, attributes });
    const memo = memoOf({ is: 'text', attributes });
    return { ...describe(handle), source: undefined, fenced: NEVER, memo };
  }

  /** Opens again what an earlier process had open, for a transport that reads by itself; a text is made anew by `text`. */
  async reopen(memo: FileMemo, text: () => Buffer): Promise<OpenFile> {
    const known = parseMemo(memo);
    if (known.is === 'image') return this.openImage(known.image, known.attributes, { readsItself: true });
    const made = text();
    return this.openText(made, { ...known.attributes, size: made.length });
  }

  async read(number: number, offset: number, length: number, context: CallContext): Promise<Buffer> {
    const handle = this.#handles.get(number);
    const end = Math.max(offset, Math.min(offset + length, handle.attributes.size));
    if (handle.is === 'text') return handle.text.subarray(offset, end);
    if (end === offset && !handle.lease.fenced.aborted) return Buffer.alloc(0);
    return this.#limited(handle, context, (signal) =>
      this.#readAgain(handle, signal, async ({ cursor }) => {
        const bytes = await cursor.read(offset, end - offset, signal);
        // A device that may have become another one while it was read has to prove that it did not.
        if (this.#parts.sources.needsProof(handle.lease.source)) await handle.lease.prove();
        return bytes;
      }),
    );
  }

  async seek(number: number, offset: number, whence: 'data' | 'hole', context: CallContext): Promise<number> {
    const handle = this.#handles.get(number);
    const { size } = handle.attributes;
    const beyondEnd = new CinderfsError('beyond_end', `no ${whence} at or after byte ${offset}`);
    if (offset < 0 || offset >= size) throw beyondEnd;
    if (handle.is === 'text') return whence === 'data' ? offset : size;
    const found = await this.#limited(handle, context, (signal) =>
      this.#readAgain(handle, signal, async ({ reader }) => reader.seek(offset, whence, signal)),
    );
    if (whence === 'data' && found >= size) throw beyondEnd;
    return Math.min(found, size);
  }

  /** A read of that handle failed, here or in a transport that reads the source by itself. */
  noteReadFailure(number: number, error: CinderfsError): void {
    const handle = this.#handles.find(number);
    if (handle?.is !== 'image') return;
    if (error.code === 'read_failed') handle.unreadable = true;
    this.#noteFailure(handle, error);
  }

  release(number: number): void {
    const handle = this.#handles.remove(number);
    if (handle?.is !== 'image') return;
    this.#changes += 1;
    const evict = handle.unreadable || handle.through.broken;
    handle.through.close();
    handle.lease.release(evict ? { evict } : {});
  }

  /** Gives back whatever is still open. */
  close(): void {
    for (const number of this.#handles.numbers()) this.release(number);
  }

  async #acquire(image: CatalogImage, { signal, uid }: CallContext): Promise<Lease> {
    try {
      const lease = await this.#parts.pool.acquire(image, { signal, uid });
      this.#watchFence(lease);
      return lease;
    } catch (error) {
      if (CinderfsError.is(error) && error.code === 'identity_mismatch') this.#parts.distrust(image.volumeId);
      throw error;
    }
  }

  /** Once per attachment, for as long as it lives: it may be fenced while it lingers with no file open. */
  #watchFence({ fenced, volumeId }: Lease): void {
    if (this.#watched.has(fenced)) return;
    this.#watched.add(fenced);
    setMaxListeners(0, fenced); // one listener per read in flight is no leak
    fenced.addEventListener('abort', () => this.#onFenced(fenced, volumeId), { once: true });
  }

  /** Their files stay open until they are closed, the source does not: while it is open it cannot be detached. */
  #onFenced(fenced: AbortSignal, volumeId: string): void {
    this.#parts.distrust(volumeId);
    for (const { lease, through } of this.#handles.images()) if (lease.fenced === fenced) through.close();
  }

  /** A read that failed because its device went away is done again as soon as the volume is back: only a delay. */
  async #readAgain<T>(
    handle: ImageHandle,
    signal: AbortSignal,
    read: (path: OpenedPath) => Promise<T>,
  ): Promise<T> {
    for (;;) {
      const { through, lease, image } = handle;
      try {
        return await read(await through.open());
      } catch (error) {
        if (signal.aborted || !(await lease.renewed(through.connection))) throw error;
        if (!this.#handles.has(handle.number)) throw error;
        // Another read of this file may have been quicker.
        if (handle.through !== through) continue;
        handle.through = this.#path(lease, image.size);
        through.close();
      }
    }
  }

  /** Through the connection that the lease has now. */
  #path(lease: Lease, size: number): ReadPath {
    const connection = lease.connection();
    const { source, attachmentId, volumeId: volume } = lease;
    return new ReadPath(connection, () =>
      this.#parts.readers.claim({ source, attachmentId, connection, volume, size }),
    );
  }

  /** A reader that comes after its waiter left is the path's. */
  #opened(path: ReadPath, { signal }: CallContext): Promise<unknown> {
    return withDeadline(path.open(), {
      clock: this.#parts.clock,
      ms: this.#parts.readTimeoutMs,
      onTimeout: () => new CinderfsError('read_timeout', 'the source could not be opened in time'),
      signal,
    });
  }

  /** `work` within the read deadline, ended at once by a fence or by a caller that leaves. */
  async #limited<T>(
    handle: ImageHandle,
    context: CallContext,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { clock, readTimeoutMs } = this.#parts;
    const { lease } = handle;
    try {
      return await withReadDeadline(work, {
        clock,
        ms: Math.max(0, readTimeoutMs - (context.waitedMs ?? 0)),
        fenced: lease.fenced,
        caller: context.signal,
        onCallerGone: () => new CinderfsError('interrupted', 'the reader gave up'),
        onTimeout: () =>
          new CinderfsError('read_timeout', `the source did not answer within ${readTimeoutMs} ms`),
      });
    } catch (error) {
      throw this.#noteFailure(handle, CinderfsError.from(error, 'read_failed'));
    }
  }

  #noteFailure({ image, lease }: ImageHandle, error: CinderfsError): CinderfsError {
    const where = { image: image.id, volume: lease.volumeId, attachment: lease.attachmentId };
    const failure = error.within(where);
    if (failure.code !== 'interrupted') this.#parts.onReadError?.(image.id, failure);
    return failure;
  }
}

const NEVER = new AbortController().signal;

function describe({ number, attributes }: Handle): Pick<OpenFile, 'handle' | 'node' | 'size'> {
  return { handle: number, node: attributes.node, size: attributes.size };
}
