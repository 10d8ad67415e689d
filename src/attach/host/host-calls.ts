import type { Clock } from '../../async/clock.js';
import { withDeadline } from '../../async/deadline.js';
import { Slots } from '../../async/slots.js';
import { CinderfsError } from '../../errors.js';

/** One step on this host that may never come back. */
export interface HostCall {
  /** What it does, for the error: "looking for volume V". */
  readonly what: string;
  /** What hangs together: a share, a device, a socket. */
  readonly group: string;
  /** It waits in a thread of libuv's pool, which DNS, the journal and token renewal need as well. */
  readonly thread: boolean;
  /** Milliseconds, the wait for its turn included. */
  readonly ms: number;
}

/** Calls of one group at a time, where there are threads enough: one dead share must not take all that calls may have. */
const PER_GROUP = 2;

interface Group {
  readonly turns: Slots;
  /** Calls that run or wait. */
  calls: number;
  /** Calls whose deadline is over and that have not ended. */
  hung: number;
}

/**
 * The bulkhead around all host work. A call on a dead share or device cannot be cancelled: the thread that runs it is
 * lost until the backend answers. So waiters get `host_hung` at the deadline; while a call of a group hangs, no
 * other call of that group begins; and calls that wait in threads never take more than half of libuv's pool. The end of
 * the call that hung, late as it is, lets its group in again.
 */
export class HostCalls {
  readonly #clock: Clock;
  readonly #threads: Slots;
  readonly #perGroup: number;
  readonly #groups = new Map<string, Group>();

  /** `threads`: of libuv's pool; half of them are for calls. */
  constructor(clock: Clock, threads = Number(process.env.UV_THREADPOOL_SIZE ?? 4)) {
    this.#clock = clock;
    const forCalls = Math.max(1, Math.floor(threads / 2));
    this.#threads = new Slots(forCalls);
    this.#perGroup = Math.max(1, Math.min(PER_GROUP, Math.floor(forCalls / 2)));
  }

  /** Calls that were written off and have not ended. */
  get hung(): number {
    return [...this.#groups.values()].reduce((total, { hung }) => total + hung, 0);
  }

  /** `work`, within the deadline; `onLate` owns what it makes after that. Rejects with `host_hung`, or as `work` does. */
  async run<T>(call: HostCall, work: () => Promise<T>, onLate?: (value: T) => void): Promise<T> {
    const group = this.#enter(call);
    const patience = new AbortController();
    let running = false;
    let late = false;
    const whole = this.#inTurn(group, call, patience.signal, async () => {
      running = true;
      return work();
    }).finally(() => this.#leave(call, group, late));
    return withDeadline(whole, {
      clock: this.#clock,
      ms: call.ms,
      ...(onLate === undefined ? {} : { onLate }),
      onTimeout: () => {
        late = running;
        if (late) group.hung++;
        // One that never got its turn leaves the queue.
        else patience.abort(hangs(call));
        return hangs(call);
      },
    });
  }

  #enter(call: HostCall): Group {
    const group = this.#groups.get(call.group) ?? { turns: new Slots(this.#perGroup), calls: 0, hung: 0 };
    if (group.hung > 0) throw hangs(call);
    this.#groups.set(call.group, group);
    group.calls++;
    return group;
  }

  #leave(call: HostCall, group: Group, late: boolean): void {
    group.calls--;
    if (late) group.hung--;
    if (group.calls === 0) this.#groups.delete(call.group);
  }

  #inTurn<T>(group: Group, call: HostCall, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const threaded = call.thread ? (): Promise<T> => this.#threads.run(work, signal) : work;
    return group.turns.run(threaded, signal);
  }
}

function hangs({ what, group, ms }: HostCall): CinderfsError {
  return new CinderfsError('host_hung', `${what}: ${group} does not answer (${Math.round(ms / 1000)} s)`);
}
