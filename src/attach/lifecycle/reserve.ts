import { backoffDelay } from '../../async/backoff.js';
import { sleep } from '../../async/clock.js';
import { CinderfsError, reasonOf } from '../../errors.js';
import type { AttachContext } from '../context/context.js';
import { type AttachmentRecord, attachedVolumeOf } from '../journal/record.js';
import { findOrphan } from '../cleanup/orphan.js';
import { type Budget, isOutage, pauseWithin, throughOutage } from './outage.js';
import { targetOf } from '../target/choose-target.js';
import { refused } from '../context/refusal.js';

/**
 * Full jitter: a cluster-wide boot storm asks for one volume at once, and Cinder serves one host at a time. A host that
 * waits longest must not pause longest: a cap of 10 s left Cinder idle between the last few hosts of a storm, and a base
 * under a second has it refuse more than it serves.
 */
const RETRY = { baseMs: 1_000, capMs: 4_000 };

/** A reserved volume, and the slot that its attach goes on to hold. */
export interface Reservation {
  /** Names the attachment; journaled. */
  readonly record: AttachmentRecord;
  readonly giveSlotBack: () => void;
}

/**
 * Reserves the volume in Cinder, in one of the slots that this host has for attaching.
 *
 * While another host is between reserving and completing, Cinder answers `conflict` to every host, multiattach or not:
 * that is retried within the attach budget, then `volume_busy`; an outage of Cinder is waited for as long. A definite refusal leaves no record; an unanswered
 * request leaves one without an attachment id, which undo() resolves. The slot is taken before the reservation, because
 * from then on every other host waits for us, and given back while we wait for others.
 */
export async function reserve(
  intent: AttachmentRecord,
  context: AttachContext,
  budget: Budget,
): Promise<Reservation> {
  for (let attempt = 0; ; attempt++) {
    const giveSlotBack = await context.slots.take(budget.signal);
    try {
      return { record: await reserveOrFind(intent, context, budget), giveSlotBack };
    } catch (error) {
      giveSlotBack();
      if (isOutage(error)) await pause(() => pauseWithin(budget, attempt, context, error), intent.volumeId);
      else await waitForOthers(error, intent.volumeId, budget, attempt, context);
    }
  }
}

/** Between two tries, while another host has the volume; rejects with what else `error` means. */
async function waitForOthers(
  error: unknown,
  volumeId: string,
  { end, signal }: Budget,
  attempt: number,
  { clock, random, times }: AttachContext,
): Promise<void> {
  if (!CinderfsError.is(error) || error.code !== 'conflict') throw refused(error, volumeId);
  const delay = backoffDelay(RETRY, attempt, random);
  if (clock.now() + delay >= end) throw busy(volumeId, error, times.attachBudgetMs);
  await sleep(clock, delay, signal);
}

async function pause(wait: () => Promise<void>, volumeId: string): Promise<void> {
  await wait().catch((error: unknown) => {
    throw refused(error, volumeId);
  });
}

/** Reserves; where the answer was lost in an outage, looks for what the request made before it may be repeated. */
async function reserveOrFind(
  intent: AttachmentRecord,
  context: AttachContext,
  budget: Budget,
): Promise<AttachmentRecord> {
  try {
    return await reserveOnce(intent, context);
  } catch (error) {
    await settleRefusal(intent, error, context);
    if (!isOutage(error) || error.context.unsent === true) throw error;
    const asked = { ...intent, answered: error.context.status !== undefined };
    const search = (): Promise<string | undefined> => findOrphan(asked, context, budget.signal);
    const id = await throughOutage(search, budget, context);
    if (id === undefined) throw error;
    return reserved(intent, id, context);
  }
}

async function reserveOnce(
  intent: AttachmentRecord,
  { attachments, journal }: AttachContext,
): Promise<AttachmentRecord> {
  await journal.write(intent);
  const { id } = await attachments.create(attachedVolumeOf(intent));
  return reserved(intent, id, { journal });
}

async function reserved(
  intent: AttachmentRecord,
  attachmentId: string,
  { journal }: Pick<AttachContext, 'journal'>,
): Promise<AttachmentRecord> {
  const record = { ...intent, answered: true, attachmentId, step: 'export' } as const;
  await journal.write(record);
  return record;
}

/** Nothing was reserved after a definite no; anything else must be looked up before it is forgotten. */
async function settleRefusal(
  intent: AttachmentRecord,
  error: unknown,
  context: AttachContext,
): Promise<void> {
  if (!CinderfsError.is(error)) return;
  // The record that carries the id could not be written: the older one, without it, is what undo() works from.
  if (error.code === 'journal_failed') return;
  const status = error.context.status;
  const refused = status !== undefined && status < 500;
  if (refused && !targetOf(intent).leaves) await context.journal.remove(intent.volumeId);
  else if (status !== undefined || error.context.unsent === true)
    await context.journal.write({ ...intent, answered: true });
}

function busy(volume: string, cause: CinderfsError, budgetMs: number): CinderfsError {
  const why = `volume ${volume} could not be reserved within ${Math.round(budgetMs / 1000)} s: ${reasonOf(cause)}`;
  return new CinderfsError('volume_busy', why, { ...cause.context, volume, cause });
}
