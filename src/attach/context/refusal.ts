import { CinderfsError, reasonOf } from '../../errors.js';

const MEANING = {
  http_failed: 'attach_refused',
  http_timeout: 'attach_timeout',
  conflict: 'volume_busy',
} as const;

/** Without an answer there is no request id to look up. */
const UNREACHABLE = 'Check that Cinder answers from this host; the open may be tried again.';

/** A failure of Cinder in the words of an attach; request id and status are kept, other errors pass through. */
export function refused(error: unknown, volume: string): unknown {
  if (!CinderfsError.is(error) || !(error.code in MEANING)) return error;
  const code = MEANING[error.code as keyof typeof MEANING];
  return new CinderfsError(code, `Cinder did not attach volume ${volume}: ${reasonOf(error)}`, {
    ...error.context,
    ...(error.code === 'http_failed' && error.context.status === undefined ? { remedy: UNREACHABLE } : {}),
    volume,
    cause: error,
  });
}

/** What an opener is told while the mount ends. */
export function takenDown(volume: string): CinderfsError {
  return new CinderfsError('draining', 'the mount is being taken down', { volume });
}
