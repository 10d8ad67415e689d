import { backoffDelay } from '../../async/backoff.js';
import { sleep } from '../../async/clock.js';
import { CinderfsError } from '../../errors.js';
import type { AttachContext } from '../context/context.js';

/** Soon: most outages are a service that is just being restarted. */
const RETRY = { baseMs: 500, capMs: 5_000 };
/** A gateway says so, and a Cinder that cannot reach Keystone: the call had no effect, or may be repeated. */
const AWAY = [502, 503, 504];

/**
 * The service could not be reached, or said that it cannot work now. It decided nothing, and may be there again in a
 * moment. A certificate that is not trusted stays so.
 */
export function isOutage(error: unknown): error is CinderfsError {
  if (!CinderfsError.is(error)) return false;
  const { status, remedy } = error.context;
  if (error.code === 'auth_unreachable' || error.code === 'http_timeout') return true;
  return (
    error.code === 'http_failed' && (status === undefined ? remedy === undefined : AWAY.includes(status))
  );
}

/** The patience of one attach. */
export interface Budget {
  /** Clock.now() at its end. */
  readonly end: number;
  readonly signal: AbortSignal;
}

export function attachBudget({ clock, times }: AttachContext, signal: AbortSignal): Budget {
  return { end: clock.now() + times.attachBudgetMs, signal };
}

/**
 * Repeats a call that may be repeated while its service is away, within the budget. Rejects with the last failure, or as
 * `signal` was aborted.
 */
export async function throughOutage<T>(
  call: () => Promise<T>,
  budget: Budget,
  context: AttachContext,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (!isOutage(error)) throw error;
      await pauseWithin(budget, attempt, context, error);
    }
  }
}

/** Waits before the next attempt; rejects with `error` when there is no time for one. */
export async function pauseWithin(
  { end, signal }: Budget,
  attempt: number,
  { clock, random, log }: AttachContext,
  error: CinderfsError,
): Promise<void> {
  const delay = backoffDelay(RETRY, attempt, random);
  if (clock.now() + delay >= end) throw error;
  log.debug({ reason: error.message, attempt }, 'a service is away; the call is repeated');
  await sleep(clock, delay, signal);
}

/** The context of one attach, whose calls that may be repeated are repeated while their service is away. */
export function patientContext(context: AttachContext, budget: Budget): AttachContext {
  const { attachments, volumes } = context;
  const through = <T>(call: () => Promise<T>): Promise<T> => throughOutage(call, budget, context);
  return {
    ...context,
    attachments: {
      create: (...asked) => attachments.create(...asked),
      update: (...asked) => through(() => attachments.update(...asked)),
      complete: (...asked) => through(() => attachments.complete(...asked)),
      show: (...asked) => through(() => attachments.show(...asked)),
      listForVolume: (...asked) => through(() => attachments.listForVolume(...asked)),
      delete: (...asked) => attachments.delete(...asked),
    },
    volumes: {
      show: (...asked) => through(() => volumes.show(...asked)),
      list: (...asked) => through(() => volumes.list(...asked)),
      snapshots: (...asked) => through(() => volumes.snapshots(...asked)),
    },
  };
}
