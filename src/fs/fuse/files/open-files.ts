import type { FileMemo, OpenFile } from '../../contract/filesystem.js';
import type { ServedFile } from '../../contract/transport.js';
import type { Backings } from './backings.js';
import type { Descriptor, Descriptors } from './descriptors.js';
import type { Clock } from '../../../async/clock.js';
import type { HandleQuota } from './handle-quota.js';
import type { OpenJournal, OpenRecord } from '../recovery/open-journal.js';
import type { OpenOutcome } from '../worker/opens.js';
import type { Opened } from './opened.js';
import { SpareOpens } from './spare-opens.js';
import { RESENT } from '../protocol/opcodes.js';
import { FH_ENTRIES, HandleState, SharedHandles, entryOf, handleNumber } from '../shared/shared-handles.js';

export interface OpenFilesParts {
  readonly descriptors: Descriptors;
  readonly backings: Backings;
  /** The bytes of `file` must leave the kernel's caches. */
  readonly onFenced: (file: OpenFile) => void;
  /** Gets back what open() took from it. */
  readonly quota?: HandleQuota | undefined;
  /** Where open files are noted for the engine that comes after this one. */
  readonly journal?: OpenJournal | undefined;
  /** Workers answer opens of what is open already; none where there are no workers. */
  readonly clock?: Pick<Clock, 'uptime'> | undefined;
}

/** Every open file of the mount. Owns the descriptors and the entries of SharedHandles. */
export class OpenFiles {
  readonly shared = new SharedHandles();
  readonly #parts: OpenFilesParts;
  readonly #opened = new Map<number, Opened>();
  /** The same by inode, oldest first. */
  readonly #byNode = new Map<number, Set<Opened>>();
  /** How many of them share a file. None: it is released once no worker has an open of it in hand. */
  readonly #shares = new Map<OpenFile, number>();
  readonly #spares: SpareOpens;
  /** Takes back what was registered on the signal of a file, which it may share with others and which may outlive it. */
  readonly #unfence = new Map<number, () => void>();
  readonly #stalled = new Set<Descriptor>();
  readonly #freeEntries: number[] = [];
  #readable = 0;
  #degraded = false;
  #nextEntry = 1;
  #generation = 0;

  constructor(parts: OpenFilesParts) {
    this.#parts = parts;
    this.#generation = Math.floor((parts.journal?.last ?? 0) / FH_ENTRIES);
    for (const record of parts.journal?.earlier ?? []) this.#reserve(record);
    this.#spares = new SpareOpens({
      clock: parts.clock ?? { uptime: () => Infinity },
      journal: parts.journal,
      prepare: (base) => this.#prepare(base),
      admit: (opened) => this.#admit(opened),
      discard: (opened) => this.#discard(opened),
    });
  }

  /** Memory of SharedOpens. */
  get opens(): SharedArrayBuffer {
    return this.#spares.shared.memory;
  }

  /**
   * Prepares the file that the request `unique` opened for reading and publishes it to the workers. On failure the
   * file is still the caller's.
   */
  async add(file: OpenFile, unique: bigint, uid = 0): Promise<Opened> {
    const { node, size, memo } = file;
    const descriptor = await this.#descriptorOf(file);
    const backingId = this.#parts.backings.acquire(node, size, descriptor);
    const opened = { fh: this.#number(descriptor !== undefined), file, descriptor, backingId, uid };
    this.#publish(opened);
    try {
      if (memo !== undefined) this.#note(opened, unique, memo);
      return opened;
    } catch (error) {
      this.#drop(opened);
      this.#shares.delete(file);
      throw error;
    }
  }

  /** Takes `file` for what the kernel knows as `fh` since an earlier engine. On failure it is still the caller's. */
  async rebuild({ fh, node, uid = 0 }: OpenRecord, file: OpenFile): Promise<Opened> {
    const descriptor = await this.#descriptorOf(file);
    const opened = { fh, file, descriptor, backingId: this.#parts.backings.of(node), uid };
    this.#publish(opened);
    return opened;
  }

  /** `opened` was answered. Where its user had the same image open before, workers may answer further opens of it. */
  expectMore({ file, uid, descriptor, fh }: Opened): void {
    const others = [...(this.#byNode.get(file.node) ?? [])];
    const base = others.find(
      (other) => other.fh !== fh && other.uid === uid && other.descriptor === descriptor,
    );
    if (base?.descriptor !== undefined && this.#opened.has(fh)) this.#spares.offer(base);
  }

  /** Opens are the main thread's again: what is opened now may have to be refused. */
  expectNoMore(): void {
    this.#spares.withdraw();
  }

  /** A worker answered an open, or could not; the file, if it is closed now, to be released by the caller. */
  told(slot: number, outcome: OpenOutcome): OpenFile | undefined {
    const gone = this.#spares.told(slot, outcome);
    if (gone === undefined) return undefined;
    return this.#opened.has(gone.fh) ? this.remove(gone.fh) : this.#releasable(gone.file);
  }

  /** A worker died; the opens that it may have left unanswered. */
  abandoned(workerId: number): ReturnType<SpareOpens['abandoned']> {
    return this.#spares.abandoned(workerId);
  }

  /** Forgets a file of an earlier engine that was closed before it was rebuilt. */
  forget({ fh, node, uid = 0 }: OpenRecord): void {
    this.#parts.quota?.give(uid);
    this.#parts.backings.release(node);
    if (entryOf(fh) !== 0) this.#freeEntries.push(entryOf(fh));
    this.#parts.journal?.closed(fh);
  }

  get(fh: number): Opened | undefined {
    if (!this.#opened.has(fh)) this.#spares.settle();
    return this.#opened.get(fh);
  }

  /**
   * Forgets `fh` and lets go of what served it; the file, to be released by the caller, unless other open files share
   * it.
   */
  remove(fh: number): OpenFile | undefined {
    const opened = this.get(fh);
    if (opened === undefined) return undefined;
    this.#parts.quota?.give(opened.uid);
    this.#drop(opened);
    return this.#releasable(opened.file);
  }

  #drop(opened: Opened): void {
    const { fh, file } = opened;
    this.#opened.delete(fh);
    const others = this.#byNode.get(file.node);
    others?.delete(opened);
    if (others?.size === 0) this.#byNode.delete(file.node);
    this.#shares.set(file, (this.#shares.get(file) ?? 1) - 1);
    this.#unfence.get(fh)?.();
    this.#unfence.delete(fh);
    if (opened.descriptor !== undefined) this.#readable -= 1;
    this.#discard(opened);
    this.#parts.journal?.closed(fh);
  }

  /** Another open of the file of `base`, which the kernel does not know yet. */
  #prepare({ fh: base, file, descriptor, uid }: Opened): Opened | undefined {
    const { descriptors, backings, quota } = this.#parts;
    const allowed = this.#opened.has(base) && quota?.allows(uid) !== false;
    const entry = allowed ? this.#takeEntry() : 0;
    if (descriptor === undefined || entry === 0) return undefined;
    this.#generation += 1;
    descriptors.hold(descriptor);
    const backingId = backings.acquire(file.node, file.size, descriptor);
    const opened = { fh: handleNumber(this.#generation, entry), file, descriptor, backingId, uid };
    this.#show(opened, descriptor);
    return opened;
  }

  #admit(opened: Opened): void {
    this.#parts.quota?.adopt(opened.uid);
    this.#register(opened);
  }

  /** `file`, if nothing of it is open and no worker may be opening it: then it is the caller's to release. */
  #releasable(file: OpenFile): OpenFile | undefined {
    const isOpen = (): boolean => this.#shares.get(file) !== 0;
    if (isOpen()) return undefined;
    this.#spares.withdraw(file);
    this.#spares.settle();
    if (isOpen() || this.#spares.pending(file) > 0) return undefined;
    this.#shares.delete(file);
    return file;
  }

  /** What #prepare() and #publish() took. */
  #discard({ fh, file, descriptor }: Opened): void {
    this.#parts.backings.release(file.node);
    if (entryOf(fh) !== 0) {
      this.shared.setState(fh, HandleState.free);
      this.#freeEntries.push(entryOf(fh));
    }
    if (descriptor !== undefined) this.#parts.descriptors.release(descriptor);
  }

  /** Whether a worker reads any of them. */
  get watched(): boolean {
    return this.#readable > 0;
  }

  /** Sends the reads of every file of `descriptor` to the main thread, or back to the workers. */
  setStalled(descriptor: Descriptor, stalled: boolean): void {
    if (stalled) this.#stalled.add(descriptor);
    else this.#stalled.delete(descriptor);
    this.#restate();
  }

  /** Sends all reads to the main thread, or back. */
  setDegraded(degraded: boolean): void {
    if (degraded === this.#degraded) return;
    this.#degraded = degraded;
    this.#restate();
  }

  /** Numbers of all open files, for the end of the mount. */
  numbers(): readonly number[] {
    this.#spares.settle();
    return [...this.#opened.keys()];
  }

  served(): readonly ServedFile[] {
    return [...this.#opened.values()].map((opened) => ({
      handle: opened.file.handle,
      how: this.#howServed(opened),
    }));
  }

  #howServed({ file: { source }, descriptor, backingId }: Opened): ServedFile['how'] {
    if (backingId !== undefined) return 'passthrough';
    if (descriptor !== undefined) return 'worker';
    return source === undefined ? 'read' : this.#parts.descriptors.kinds.servedAs(source);
  }

  /** For the engine that comes after this one. */
  #note({ fh, backingId, uid, file: { node } }: Opened, unique: bigint, memo: FileMemo): void {
    this.#parts.journal?.opened({ fh, node, unique: String(unique & ~RESENT), uid, backingId, memo });
  }

  async #descriptorOf({ source, size, connection }: OpenFile): Promise<Descriptor | undefined> {
    return source === undefined ? undefined : this.#parts.descriptors.acquire(source, size, connection);
  }

  /** From here on reads of it are served. */
  #publish(opened: Opened): void {
    const { fh, descriptor } = opened;
    if (descriptor !== undefined && entryOf(fh) !== 0) this.#show(opened, descriptor);
    this.#register(opened);
  }

  /** Workers can read it. */
  #show({ fh, file: { size } }: Opened, descriptor: Descriptor): void {
    const { kind, number, published } = descriptor;
    this.shared.publish(fh, { kind, number, slot: published.slot, size }, this.#stateOf(descriptor));
  }

  #register(opened: Opened): void {
    const { fh, descriptor, file } = opened;
    this.#opened.set(fh, opened);
    this.#byNode.set(file.node, (this.#byNode.get(file.node) ?? new Set<Opened>()).add(opened));
    this.#shares.set(file, (this.#shares.get(file) ?? 0) + 1);
    if (descriptor !== undefined) this.#readable += 1;
    const onFenced = (): void => this.#fence(opened);
    file.fenced.addEventListener('abort', onFenced, { once: true });
    this.#unfence.set(fh, () => file.fenced.removeEventListener('abort', onFenced));
    if (file.fenced.aborted) this.#fence(opened);
  }

  /**
   * Keeps number and backing file of a file that an earlier engine had open, before anything new is opened: the kernel
   * answers EIO when one inode is opened in two ways.
   */
  #reserve({ fh, node, backingId, uid = 0 }: OpenRecord): void {
    this.#parts.quota?.adopt(uid);
    this.#parts.backings.adopt(node, backingId);
    for (; this.#nextEntry <= entryOf(fh); this.#nextEntry += 1) this.#freeEntries.push(this.#nextEntry);
    const at = this.#freeEntries.indexOf(entryOf(fh));
    if (at >= 0) this.#freeEntries.splice(at, 1);
  }

  #restate(): void {
    for (const { fh, descriptor, file } of [...this.#opened.values(), ...this.#spares.prepared()])
      if (descriptor !== undefined && entryOf(fh) !== 0 && !file.fenced.aborted)
        this.shared.setState(fh, this.#stateOf(descriptor));
  }

  #stateOf(descriptor: Descriptor): HandleState {
    return this.#degraded || this.#stalled.has(descriptor) ? HandleState.queued : HandleState.inline;
  }

  #fence(opened: Opened): void {
    if (!this.#opened.has(opened.fh)) return;
    this.#spares.withdraw(opened.file);
    const alike = this.#spares.prepared().filter(({ file }) => file === opened.file);
    for (const { fh } of [opened, ...alike])
      if (entryOf(fh) !== 0) this.shared.setState(fh, HandleState.fenced);
    if (opened.descriptor !== undefined) this.#parts.descriptors.fence(opened.descriptor);
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
