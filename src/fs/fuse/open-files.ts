import type { OpenFile } from '../filesystem.js';
import type { ServedFile } from '../transport.js';
import type { Backings } from './backings.js';
import type { Descriptor, Descriptors } from './descriptors.js';
import { HandleState, SharedHandles, entryOf, handleNumber } from './shared-handles.js';

/** One open file as the kernel knows it (`fh`), and what serves it. */
export interface Opened {
  readonly fh: number;
  readonly file: OpenFile;
  readonly descriptor: Descriptor | undefined;
  readonly backingId: number | undefined;
}

export interface OpenFilesParts {
  readonly descriptors: Descriptors;
  readonly backings: Backings;
  /** The bytes of `file` must leave the kernel's caches. */
  readonly onFenced: (file: OpenFile) => void;
}

/** Every open file of the mount. Owns the descriptors and the entries of SharedHandles. */
export class OpenFiles {
  readonly shared = new SharedHandles();
  readonly #parts: OpenFilesParts;
  readonly #opened = new Map<number, Opened>();
  readonly #stalled = new Set<Descriptor>();
  readonly #freeEntries: number[] = [];
  #cautious = false;
  #nextEntry = 1;
  #generation = 0;

  constructor(parts: OpenFilesParts) {
    this.#parts = parts;
  }

  /** Prepares `file` for reading and publishes it to the workers. On failure the file is still the caller's. */
  async add(file: OpenFile): Promise<Opened> {
    const { source } = file;
    const descriptor =
      source === undefined || source.kind === 'nbd'
        ? undefined
        : await this.#parts.descriptors.acquire(source);
    const backingId = this.#parts.backings.acquire(file.node, file.size, descriptor);
    const opened = { fh: this.#number(descriptor !== undefined), file, descriptor, backingId };
    this.#opened.set(opened.fh, opened);
    this.#publish(opened);
    file.fenced.addEventListener('abort', () => this.#fence(opened), { once: true });
    if (file.fenced.aborted) this.#fence(opened);
    return opened;
  }

  get(fh: number): Opened | undefined {
    return this.#opened.get(fh);
  }

  /** Forgets `fh` and lets go of what served it; the file, to be released by the caller. */
  remove(fh: number): OpenFile | undefined {
    const opened = this.#opened.get(fh);
    if (opened === undefined) return undefined;
    this.#opened.delete(fh);
    this.#parts.backings.release(opened.file.node);
    if (entryOf(fh) !== 0) {
      this.shared.setState(fh, HandleState.free);
      this.#freeEntries.push(entryOf(fh));
    }
    if (opened.descriptor !== undefined) this.#parts.descriptors.release(opened.descriptor);
    return opened.file;
  }

  /** Whether a worker reads any of them. */
  get watched(): boolean {
    return [...this.#opened.values()].some(({ descriptor }) => descriptor !== undefined);
  }

  /** Sends the reads of every file of `descriptor` to the main thread, or back to the workers. */
  setStalled(descriptor: Descriptor, stalled: boolean): void {
    if (stalled) this.#stalled.add(descriptor);
    else this.#stalled.delete(descriptor);
    this.#restate();
  }

  /** Sends all reads to the main thread, or back. */
  setCautious(cautious: boolean): void {
    if (cautious === this.#cautious) return;
    this.#cautious = cautious;
    this.#restate();
  }

  /** Numbers of all open files, for the end of the mount. */
  numbers(): readonly number[] {
    return [...this.#opened.keys()];
  }

  served(): readonly ServedFile[] {
    return [...this.#opened.values()].map((opened) => ({
      handle: opened.file.handle,
      how: howServed(opened),
    }));
  }

  #publish({ fh, descriptor, file }: Opened): void {
    if (descriptor === undefined || entryOf(fh) === 0) return;
    const state = this.#stateOf(descriptor);
    this.shared.publish(fh, { fd: descriptor.fd, direct: descriptor.direct, size: file.size }, state);
  }

  #restate(): void {
    for (const { fh, descriptor, file } of this.#opened.values())
      if (descriptor !== undefined && entryOf(fh) !== 0 && !file.fenced.aborted)
        this.shared.setState(fh, this.#stateOf(descriptor));
  }

  #stateOf(descriptor: Descriptor): HandleState {
    return this.#cautious || this.#stalled.has(descriptor) ? HandleState.queued : HandleState.inline;
  }

  #fence(opened: Opened): void {
    if (!this.#opened.has(opened.fh)) return;
    if (entryOf(opened.fh) !== 0) this.shared.setState(opened.fh, HandleState.fenced);
    if (opened.descriptor !== undefined) this.#parts.descriptors.retire(opened.descriptor);
    this.#parts.onFenced(opened.file);
  }

  /** A number never used before; on entry 0, which workers never serve, without a descriptor or a free entry. */
  #number(shared: boolean): number {
    this.#generation += 1;
    return handleNumber(this.#generation, shared ? this.#takeEntry() : 0);
  }

  #takeEntry(): number {
    const free = this.#freeEntries.pop();
    if (free !== undefined) return free;
    if (this.#nextEntry === this.shared.entries) return 0;
    this.#nextEntry += 1;
    return this.#nextEntry - 1;
  }
}

function howServed({ file, descriptor, backingId }: Opened): ServedFile['how'] {
  if (backingId !== undefined) return 'passthrough';
  if (descriptor !== undefined) return 'worker';
  return file.source?.kind === 'nbd' ? 'nbd' : 'read';
}
