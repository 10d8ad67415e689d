import { sleep } from '../../async/clock.js';
import { CinderfsError } from '../../errors.js';
import { adopt } from './adopt.js';
import { attach } from './attach-sequence.js';
import type { AttachmentOwner } from './attachment-owner.js';
import { attachmentReport } from './attachment-report.js';
import type { AttachContext } from '../context/context.js';
import { Detaching } from './detaching.js';
import { type LiveAttachment, whenLost } from './live-attachment.js';
import { Failures } from './failures.js';
import { takenDown } from '../context/refusal.js';
import { leaseOn } from './lease-on.js';
import type { AttachableImage, AttachmentReport, Lease } from '../contract/lease.js';
import { type Keeping, Linger, whenUnused } from './linger.js';
import { type Claim, type Claimable, openLease, proveReading } from './opening.js';
import { reconnect } from './reconnect.js';
import type { AttachmentRecord } from '../journal/record.js';
import { DETACHED, type Effect, type Event, leasesOf, next, type State } from './state.js';
import { type Patience, Waiters } from './waiters.js';

/** A failed attach is told once what it left was removed, unless that takes longer than this. */
const ROLLBACK_GRACE_MS = 5_000;

/**
 * One volume on this host: feeds state.ts, runs its effects, holds the waiters, hands out leases.
 *
 * Invariants: the waiting room has as many as the state says; the state changes in #dispatch() only; the effects
 * `attach`, `recover` and `detach` each end in exactly one event.
 */
export class Attachment implements Claimable {
  readonly #context: AttachContext;
  readonly #owner: AttachmentOwner;
  readonly #waiters = new Waiters<Claim>();
  readonly #linger: Linger;
  readonly #keeping: Keeping;
  /** What went wrong with it. */
  readonly failures: Failures;
  /** Ends attach work that a drain does not want. */
  readonly #quit = new AbortController();
  #state: State<LiveAttachment> = DETACHED;
  #image: AttachableImage;
  #since: number;
  /** acquire() calls under way. */
  #openers = 0;
  /** What was held last: its host work must end before its detach begins. */
  #latest: LiveAttachment | undefined;
  /** Ends with the attach or the recovery that runs. Never rejects. */
  #attaching: Promise<void> = Promise.resolve();
  /** The detach that runs. */
  #detaching: Detaching | undefined;

  constructor(image: AttachableImage, context: AttachContext, owner: AttachmentOwner) {
    this.#image = image;
    this.#context = context;
    this.#owner = owner;
    this.#linger = new Linger(context.clock);
    const [{ settled }, { lingerMs }] = [owner, context.times];
    this.#keeping = { draining: false, listed: true, settled, lingerMs };
    this.failures = new Failures(context);
    this.#since = context.clock.now();
  }

  get volumeId(): string {
    return this.#image.volumeId;
  }

  get imageId(): string {
    return this.#image.id;
  }

  get state(): State<LiveAttachment>['is'] {
    return this.#state.is;
  }

  get leases(): number {
    return leasesOf(this.#state);
  }

  /** Openers that wait for it. */
  get waiting(): number {
    return this.#waiters.size;
  }

  /** A detach of it failed and is tried again. */
  get detachRetrying(): boolean {
    return this.#detaching?.retrying === true;
  }

  /** The catalog had the image at this volume when it was last heard of. */
  get listed(): boolean {
    return this.#keeping.listed;
  }

  /** What may be read now. */
  get held(): LiveAttachment | undefined {
    return 'held' in this.#state ? this.#state.held : undefined;
  }

  /** See AttachmentPool.acquire. */
  async acquire(image: AttachableImage, signal: AbortSignal | undefined): Promise<Lease> {
    this.#openers++;
    try {
      return await openLease(this, image, this.#context, { signal, quit: this.#quit.signal });
    } finally {
      this.#openers--;
      this.#tellIfIdle();
    }
  }

  async claim(image: AttachableImage, patience: Patience): Promise<Claim> {
    // An opener on its way to a second try must not wait for what a drain removes.
    if (this.#keeping.draining) throw takenDown(this.volumeId);
    this.#image = image;
    this.#dispatch({ type: 'acquire' });
    if (this.#state.is === 'attached') return this.#claimOf(this.#state.held);
    return this.#waiters.join(
      patience,
      () => this.#dispatch({ type: 'leave' }),
      (late) => late.lease.release(),
    );
  }

  /** A verdict on an attachment that was replaced meanwhile says nothing about the new one. */
  distrust(held: LiveAttachment, reason: CinderfsError): void {
    if (this.held === held) this.fence(reason);
  }

  /** Adopts what an earlier process left, or undoes it. */
  recover(record: AttachmentRecord): void {
    this.#dispatch({ type: 'recover' }, record);
  }

  /** The owner is settled: without a lease it lingers or is detached now. */
  settle(): void {
    this.#dispatch({ type: 'settle' });
  }

  /** Detaches as soon as no file is open: at once when it lingers. */
  letGo(): void {
    this.#dispatch({ type: 'let_go' });
  }

  /** Detaches what lingers, or what is being attached without a waiter, as soon as it is; resolves when the first try was successful, rejects with `detach_failed` when not. */
  async letGoNow(): Promise<void> {
    this.letGo();
    await this.#attaching;
    if ((await this.#detaching?.firstTry) === false)
      throw this.failures.last ?? new CinderfsError('detach_failed', 'it could not be detached at once');
  }

  list(): void {
    this.#keeping.listed = true;
  }

  /** The image has no name any more: it is kept for its readers only. False when that was known. */
  unlist(): boolean {
    const known = !this.#keeping.listed;
    this.#keeping.listed = false;
    if (this.#state.is === 'lingering') this.letGo();
    return !known;
  }

  /** Cuts every lease with `reason` and detaches. */
  fence(reason: CinderfsError): void {
    if (this.held === undefined && this.#state.is !== 'attaching') return;
    this.#fail(reason);
    this.#dispatch({ type: 'fence', reason });
  }

  /** From now on nothing lingers and no caller waits; what is on its way is undone. */
  drain(): void {
    this.#keeping.draining = true;
    const refusal = takenDown(this.volumeId);
    for (const waiter of this.#waiters.takeAll()) {
      this.#dispatch({ type: 'leave' });
      waiter.refuse(refusal);
    }
    this.#quit.abort(refusal);
    this.#detaching?.hurry();
    this.letGo();
  }

  report(): AttachmentReport {
    const { clock, journal } = this.#context;
    return attachmentReport(this.#image, this.held?.record ?? journal.get(this.volumeId), {
      state: this.#state.is,
      leases: this.leases,
      lingerLeftMs: this.#linger.leftMs,
      ageMs: clock.now() - this.#since,
      source: this.held?.connected.source,
      lastError: this.failures.lastLine,
    });
  }

  #claimOf(held: LiveAttachment): Claim {
    const release = (evict: boolean): void => this.#dispatch({ type: 'release', evict });
    const prove = (): Promise<void> => proveReading(held, this.#context, this);
    return { held, lease: leaseOn(held, { release, prove, clock: this.#context.clock }) };
  }

  #dispatch(event: Event<LiveAttachment>, recovered?: AttachmentRecord): void {
    const held = event.type === 'attached' ? event.held : this.held;
    const { state, effects } = next(this.#state, event, whenUnused(held, this.#keeping));
    if (this.#state.is !== state.is) this.#since = this.#context.clock.now();
    this.#state = state;
    for (const effect of effects) this.#run(effect, recovered);
    this.#tellIfIdle();
  }

  /** An opener on its way to a second try still counts: forgetting it now would attach the volume twice. */
  #tellIfIdle(): void {
    if (this.#state.is === 'detached' && this.#openers === 0) this.#owner.onIdle();
  }

  #run(effect: Effect<LiveAttachment>, recovered: AttachmentRecord | undefined): void {
    switch (effect.do) {
      case 'attach':
        this.#attaching = this.#attach();
        break;
      case 'recover':
        this.#attaching = this.#recover(recovered);
        break;
      case 'detach':
        this.#detach();
        break;
      case 'start_linger':
        this.#startLinger();
        break;
      case 'stop_linger':
        this.#linger.stop();
        break;
      case 'grant_waiters':
        this.#grantWaiters();
        break;
      case 'hurry':
        this.#detaching?.hurry();
        break;
      case 'cut_leases':
        this.#context.counters.fences++;
        effect.held.fence.abort(effect.reason);
    }
  }

  #startLinger(): void {
    if (this.held !== undefined) this.held.provenAt = -Infinity;
    this.#linger.start(this.#context.times.lingerMs, () => this.#dispatch({ type: 'expire' }));
  }

  #grantWaiters(): void {
    const { held } = this;
    if (held === undefined) return;
    for (const waiter of this.#waiters.takeAll()) waiter.grant(this.#claimOf(held));
  }

  async #attach(): Promise<void> {
    try {
      const held = await attach(this.#image, this.#context, this.#quit.signal);
      this.#context.counters.attaches++;
      this.#arrived(held);
    } catch (thrown) {
      this.#context.counters.attach_failures++;
      const error = this.#fail(thrown);
      const waiters = this.#waiters.takeAll();
      const leftover = this.#context.journal.get(this.volumeId) !== undefined;
      this.#dispatch({ type: 'failed', leftover });
      if (leftover)
        await Promise.race([this.#detaching?.firstTry, sleep(this.#context.clock, ROLLBACK_GRACE_MS)]);
      for (const waiter of waiters) waiter.refuse(error);
    }
  }

  async #recover(record: AttachmentRecord | undefined): Promise<void> {
    const held = record === undefined ? undefined : await adopt(record, this.#context, this.#quit.signal);
    if (this.#owner.end.aborted) return;
    if (held === undefined) this.#dispatch({ type: 'not_adopted' });
    else this.#arrived(held);
  }

  #arrived(held: LiveAttachment): void {
    this.#latest = held;
    this.#dispatch({ type: 'attached', held });
    whenLost(held, () => this.#onLost(held));
  }

  /** One without a reader is detached; a reader sees at most a delay. Once we are closed the journal is another's. */
  #onLost(held: LiveAttachment): void {
    if (this.held !== held || this.#owner.end.aborted) return;
    if (this.#state.is === 'lingering') {
      this.letGo();
      return;
    }
    held.reconnecting = reconnect(held, this.#context, this.#quit.signal).then(
      () => whenLost(held, () => this.#onLost(held)),
      (error: unknown) => this.distrust(held, CinderfsError.from(error, 'connector_failed')),
    );
  }

  #detach(): void {
    const hostWork = this.#latest?.reconnecting ?? Promise.resolve();
    this.#latest = undefined;
    const onFailure = (error: unknown): unknown => this.#fail(error);
    const detaching = new Detaching(this.volumeId, this.#context, this.#owner.end, onFailure, hostWork);
    this.#detaching = detaching;
    void detaching.done.then((done) => {
      if (!done) return;
      this.#detaching = undefined;
      this.#dispatch({ type: 'detached' });
    });
  }

  #fail(thrown: unknown): CinderfsError {
    return this.failures.tell(thrown, { image: this.imageId, volume: this.volumeId });
  }
}
