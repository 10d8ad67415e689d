import { CinderfsError, reasonOf } from '../../../errors.js';
import { InFlight, type InFlightParts } from './in-flight.js';
import { systemCalls } from '../../../sys/calls/system-calls.js';
import type { Agreement } from '../protocol/negotiation.js';
import { hasResend } from '../protocol/negotiation.js';
import type { OpenJournal } from './open-journal.js';

/** What makes a mount outlive the process that serves it. */
export interface TakeoverState {
  readonly journal: OpenJournal;
  /** How many engines served this mount before. */
  readonly generation: number;
  /** Whether the kernel shall send again what a dead engine had in hand, where it can. */
  readonly resend: boolean;
  /** A file for what it cannot send again. */
  readonly inFlight: string;
}

export interface TakeoverParts extends Omit<InFlightParts, 'calls'> {
  readonly agreement: Agreement;
}

/**
 * Where requests are kept until they are answered; undefined where the kernel does that, and where nothing can: then
 * the mount ends with this process.
 *
 * @throws CinderfsError `fuse_failed` when an earlier engine kept requests that this one cannot get at.
 */
export function openInFlight({ agreement, ...parts }: TakeoverParts): InFlight | undefined {
  if (hasResend(agreement)) return undefined;
  const { path, fresh, log } = parts;
  try {
    const calls = systemCalls();
    if (calls === undefined) throw new Error('the koffi package is missing');
    return new InFlight({ ...parts, calls });
  } catch (error) {
    const reason = `requests cannot be kept for the engine after this one: ${reasonOf(error)}`;
    if (!fresh) throw new CinderfsError('fuse_failed', reason, { path, cause: error });
    log.warn(
      { path, reason: reasonOf(error) },
      'crash recovery is not available; the mount ends with this process',
    );
    return undefined;
  }
}
