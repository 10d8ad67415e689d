import type { Clock } from '../async/clock.js';
import type { CinderfsError } from '../errors.js';

/** Everything that may end a read before its source answers. */
export interface ReadLimits {
  readonly clock: Clock;
  readonly ms: number;
  readonly onTimeout: () => CinderfsError;
  /** Aborts with the reason that every later read gets. */
  readonly fenced: AbortSignal;
  /** The caller's own wish to leave, and the error that says so. */
  readonly caller?: AbortSignal | undefined;
  readonly onCallerGone: () => CinderfsError;
}

/**
 * Runs `work` until it settles or one of `limits` ends it. `work` gets a signal that aborts at that moment, with the
 * error as its reason, so that what it has queued leaves with it; work that cannot stop is not waited for.
 */
export function withReadDeadline<T>(
  work: (signal: AbortSignal) => Promise<T>,
  limits: ReadLimits,
): Promise<T> {
  const controller = new AbortController();
  return new Promise<T>((resolve, reject) => {
    const end = (error: Error): void => {
      controller.abort(error);
      reject(error);
    };
    const onFenced = (): void => end(limits.fenced.reason as Error);
    const onCaller = (): void => end(limits.onCallerGone());
    const stop = limits.clock.after(limits.ms, () => end(limits.onTimeout()));
    limits.fenced.addEventListener('abort', onFenced, { once: true });
    limits.caller?.addEventListener('abort', onCaller, { once: true });
    const clear = (): void => {
      stop();
      limits.fenced.removeEventListener('abort', onFenced);
      limits.caller?.removeEventListener('abort', onCaller);
    };
    controller.signal.addEventListener('abort', clear, { once: true });
    if (limits.fenced.aborted) onFenced();
    else if (limits.caller?.aborted === true) onCaller();
    else work(controller.signal).finally(clear).then(resolve, reject);
  });
}
