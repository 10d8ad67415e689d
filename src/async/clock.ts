/** Time as an interface, so that every timer in the product can be driven by a test. */
export interface Clock {
  /** Milliseconds of a monotonic clock. Only differences mean something. */
  now(): number;
  /** Milliseconds since the epoch, for humans and token expiry. */
  wall(): number;
  /**
   * Milliseconds of a clock that every process of this host shares and no process sets, from the start of the machine on.
   * A difference across a restart of the machine is too small, never too large.
   */
  uptime(): number;
  /** Calls `callback` once after `ms`; the returned function cancels it and is idempotent. */
  after(ms: number, callback: () => void): () => void;
}

/** setTimeout overflows to 1 ms beyond this. */
const LONGEST_MS = 2 ** 31 - 1;

/** The real clock: the only place in src/ that may call setTimeout (eslint says so). Its timers keep no process alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  uptime: () => Number(process.hrtime.bigint() / 1_000_000n),
  after(ms, callback) {
    let timer: NodeJS.Timeout;
    const arm = (left: number): void => {
      const next = (): void => (left > LONGEST_MS ? arm(left - LONGEST_MS) : callback());
      timer = setTimeout(next, Math.min(left, LONGEST_MS)).unref();
    };
    arm(ms);
    return () => clearTimeout(timer);
  },
};

/** Resolves after `ms`, or rejects with the signal's reason as soon as it aborts. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason as Error);
      return;
    }
    const stop = clock.after(ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    const onAbort = (): void => {
      stop();
      reject(signal?.reason as Error);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
