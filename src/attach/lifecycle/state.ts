/**
 * The life of one volume on this host, as data. Pure: no timers, no promises, no OpenStack; attachment.ts runs the
 * effects and feeds their outcome back as events.
 *
 *     detached --acquire--> attaching --attached--> attached <--acquire/release--> lingering
 *         ^                     |failed                |release, let_go, fence          |expire, let_go, fence
 *         +------detached--- detaching / fenced <------+--------------------------------+
 *
 * After an engine restart an attachment without a lease is `parked` instead: the files of the mount that use it are
 * being opened again. `settle` then has it linger or be detached.
 */
import { CinderfsError } from '../../errors.js';

/**
 * `H` is what is held while attached: opaque here.
 *
 * Invariants: attach work runs in `attaching` only, detach work in `detaching` and `fenced` only, so that the two never
 * overlap; `held` is in exactly the states in which bytes may be read.
 */
export type State<H> =
  | { readonly is: 'detached' }
  /** `doomed` is a fence that arrived before the attachment did; `parting` as in `attached`. */
  | {
      readonly is: 'attaching';
      readonly waiting: number;
      readonly doomed: CinderfsError | undefined;
      readonly parting: boolean;
    }
  /** `parting`: an opener found it bad or an operator let go of it; it does not linger after its last lease. */
  | { readonly is: 'attached'; readonly held: H; readonly leases: number; readonly parting: boolean }
  /** The linger's own lease is the only one left; `expire` is its release. */
  | { readonly is: 'lingering'; readonly held: H }
  /** Nothing reads it yet: files that an earlier engine had open may still be opened again on it. */
  | { readonly is: 'parked'; readonly held: H }
  | { readonly is: 'detaching'; readonly waiting: number }
  /** Must not be read any more, also by files that are still open: those leases are dead and count no more. */
  | { readonly is: 'fenced'; readonly waiting: number; readonly reason: CinderfsError };

export type Event<H> =
  | { readonly type: 'acquire' }
  /** A waiter for the attachment stopped waiting. */
  | { readonly type: 'leave' }
  /** A record of an earlier life was found: adopt or undo what it says. */
  | { readonly type: 'recover' }
  | { readonly type: 'attached'; readonly held: H }
  /** Attach work failed, and with it all its waiters. `leftover`: something of ours may still exist. */
  | { readonly type: 'failed'; readonly leftover: boolean }
  /** What was recovered is not whole: undo it first, waiters go on waiting. */
  | { readonly type: 'not_adopted' }
  | { readonly type: 'release'; readonly evict: boolean }
  | { readonly type: 'expire' }
  /** Everything that an earlier engine had open is open again, or cannot be opened. */
  | { readonly type: 'settle' }
  /** Detach as soon as no file is open. */
  | { readonly type: 'let_go' }
  | { readonly type: 'fence'; readonly reason: CinderfsError }
  | { readonly type: 'detached' };

/** What the driver does after a step, in this order. */
export type Effect<H> =
  | { readonly do: 'attach' | 'recover' | 'detach' | 'start_linger' | 'stop_linger' | 'grant_waiters' }
  /** A detach that waits for its next try is tried now: an open wants the volume. */
  | { readonly do: 'hurry' }
  | { readonly do: 'cut_leases'; readonly held: H; readonly reason: CinderfsError };

export interface Step<H> {
  readonly state: State<H>;
  readonly effects: readonly Effect<H>[];
}

export const DETACHED = { is: 'detached' } as const;

/**
 * What becomes of an attachment without a lease: it is kept until `settle`, it is kept for a while (never a volume that
 * is not multiattach), or it is detached at once (always while draining).
 */
export type WhenUnused = 'park' | 'linger' | 'detach';

/**
 * The one step from `state` on `event`.
 *
 * Total: an event that comes too late to matter (a timer that raced, the release of a fenced lease) changes nothing;
 * one that only a bug can cause (attached while not attaching) throws `internal`.
 */
export function next<H>(state: State<H>, event: Event<H>, whenUnused: WhenUnused): Step<H> {
  switch (state.is) {
    case 'detached':
      return fromDetached(event);
    case 'attaching':
      return fromAttaching(state, event, whenUnused);
    case 'attached':
      return fromAttached(state, event, whenUnused);
    case 'lingering':
      return fromLingering(state, event);
    case 'parked':
      return fromParked(state, event, whenUnused);
    case 'detaching':
    case 'fenced':
      return fromDetaching(state, event);
  }
}

/** Leases of openers, for reports: the linger's own is not counted. */
export function leasesOf(state: State<unknown>): number {
  return state.is === 'attached' ? state.leases : 0;
}

type In<H, S extends State<H>['is']> = Extract<State<H>, { is: S }>;

function fromDetached<H>(event: Event<H>): Step<H> {
  switch (event.type) {
    case 'acquire':
      return to({ is: 'attaching', waiting: 1, doomed: undefined, parting: false }, { do: 'attach' });
    case 'recover':
      return to({ is: 'attaching', waiting: 0, doomed: undefined, parting: false }, { do: 'recover' });
    case 'release':
    case 'expire':
    case 'settle':
    case 'let_go':
    case 'fence':
      return to(DETACHED);
    case 'leave':
    case 'attached':
    case 'failed':
    case 'not_adopted':
    case 'detached':
      return illegal('detached', event.type);
  }
}

function fromAttaching<H>(state: In<H, 'attaching'>, event: Event<H>, whenUnused: WhenUnused): Step<H> {
  switch (event.type) {
    case 'acquire':
      return to({ ...state, waiting: state.waiting + 1 });
    case 'leave':
      return to({ ...state, waiting: state.waiting - 1 });
    case 'attached':
      return arrived(state, event.held, whenUnused);
    case 'failed':
      return event.leftover ? to({ is: 'detaching', waiting: 0 }, { do: 'detach' }) : to(DETACHED);
    case 'not_adopted':
      return to({ is: 'detaching', waiting: state.waiting }, { do: 'detach' });
    case 'fence':
      return to({ ...state, doomed: state.doomed ?? event.reason });
    case 'let_go':
      return to({ ...state, parting: true });
    case 'release':
    case 'expire':
    case 'settle':
      return to(state);
    case 'recover':
    case 'detached':
      return illegal('attaching', event.type);
  }
}

/** An attachment that arrives after its last waiter left lingers like one after its last close. */
function arrived<H>(state: In<H, 'attaching'>, held: H, whenUnused: WhenUnused): Step<H> {
  if (state.doomed !== undefined) return cut(held, state.doomed, state.waiting);
  if (state.waiting > 0)
    return to(
      { is: 'attached', held, leases: state.waiting, parting: state.parting },
      { do: 'grant_waiters' },
    );
  return unused(held, state.parting ? 'detach' : whenUnused);
}

function fromAttached<H>(state: In<H, 'attached'>, event: Event<H>, whenUnused: WhenUnused): Step<H> {
  switch (event.type) {
    case 'acquire':
      return to({ ...state, leases: state.leases + 1 });
    case 'release':
      return released(state, state.parting || event.evict, whenUnused);
    case 'let_go':
      return to({ ...state, parting: true });
    case 'fence':
      return cut(state.held, event.reason, 0);
    case 'expire':
    case 'settle':
      return to(state);
    case 'leave':
    case 'recover':
    case 'attached':
    case 'failed':
    case 'not_adopted':
    case 'detached':
      return illegal('attached', event.type);
  }
}

function released<H>(state: In<H, 'attached'>, parting: boolean, whenUnused: WhenUnused): Step<H> {
  if (state.leases > 1) return to({ ...state, leases: state.leases - 1, parting });
  return unused(state.held, parting ? 'detach' : whenUnused);
}

function fromLingering<H>(state: In<H, 'lingering'>, event: Event<H>): Step<H> {
  const stop = { do: 'stop_linger' } as const;
  switch (event.type) {
    case 'acquire':
      return to({ is: 'attached', held: state.held, leases: 1, parting: false }, stop);
    case 'expire':
    case 'let_go':
      return to({ is: 'detaching', waiting: 0 }, stop, { do: 'detach' });
    case 'fence': {
      const step = cut(state.held, event.reason, 0);
      return to(step.state, stop, ...step.effects);
    }
    case 'settle':
      return to(state);
    case 'leave':
    case 'recover':
    case 'attached':
    case 'failed':
    case 'not_adopted':
    case 'release':
    case 'detached':
      return illegal('lingering', event.type);
  }
}

function fromParked<H>(state: In<H, 'parked'>, event: Event<H>, whenUnused: WhenUnused): Step<H> {
  switch (event.type) {
    case 'acquire':
      return to({ is: 'attached', held: state.held, leases: 1, parting: false });
    case 'settle':
      return unused(state.held, whenUnused);
    case 'let_go':
      return unused(state.held, 'detach');
    case 'fence':
      return cut(state.held, event.reason, 0);
    case 'leave':
    case 'recover':
    case 'attached':
    case 'failed':
    case 'not_adopted':
    case 'release':
    case 'expire':
    case 'detached':
      return illegal('parked', event.type);
  }
}

function fromDetaching<H>(state: In<H, 'detaching' | 'fenced'>, event: Event<H>): Step<H> {
  switch (event.type) {
    case 'acquire':
      return to({ ...state, waiting: state.waiting + 1 }, { do: 'hurry' });
    case 'leave':
      return to({ ...state, waiting: state.waiting - 1 });
    case 'detached':
      return state.waiting > 0
        ? to({ is: 'attaching', waiting: state.waiting, doomed: undefined, parting: false }, { do: 'attach' })
        : to(DETACHED);
    case 'release':
    case 'expire':
    case 'settle':
    case 'let_go':
    case 'fence':
      return to(state);
    case 'recover':
    case 'attached':
    case 'failed':
    case 'not_adopted':
      return illegal(state.is, event.type);
  }
}

function unused<H>(held: H, whenUnused: WhenUnused): Step<H> {
  switch (whenUnused) {
    case 'park':
      return to({ is: 'parked', held });
    case 'linger':
      return to({ is: 'lingering', held }, { do: 'start_linger' });
    case 'detach':
      return to({ is: 'detaching', waiting: 0 }, { do: 'detach' });
  }
}

function cut<H>(held: H, reason: CinderfsError, waiting: number): Step<H> {
  return to({ is: 'fenced', waiting, reason }, { do: 'cut_leases', held, reason }, { do: 'detach' });
}

function to<H>(state: State<H>, ...effects: Effect<H>[]): Step<H> {
  return { state, effects };
}

function illegal(state: string, event: string): never {
  throw new CinderfsError('internal', `an attachment that is ${state} met the event ${event}`);
}
