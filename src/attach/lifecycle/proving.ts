/** Proofs of an attachment that may be read: that its source is the image's volume, and still ours. */
import { withDeadline } from '../../async/deadline.js';
import { CinderfsError } from '../../errors.js';
import type { Connected } from '../connection/connector.js';
import type { AttachContext } from '../context/context.js';
import type { AttachmentRecord } from '../journal/record.js';
import { targetOf } from '../target/choose-target.js';
import type { LiveAttachment } from './live-attachment.js';
import { prove, samePin, type Subject } from '../proof/identity.js';
import { checkHeld } from './standing.js';

/** An opener waits this long for Cinder's word on an attachment that is there already. */
const CHECK_MS = 5_000;

/**
 * Makes sure that a held attachment is what it was, unless that was just done: openers that come together share one
 * proof. Rejects with `attachment_lost`, `identity_mismatch` or `connector_failed`.
 */
export async function renewHeld(held: LiveAttachment, context: AttachContext): Promise<void> {
  const { clock, times } = context;
  const stale = clock.now() - times.proofMs;
  await sharedProof(
    held,
    context,
    (since) => since > stale,
    () => checkAndProve(held, context),
  );
}

/**
 * Proves what a reader has in hand: that a moment after it was read the source was still the volume. Readers that come
 * together share one proof; Cinder is not asked. Rejects with `identity_mismatch` or `connector_failed`.
 */
export async function proveRead(held: LiveAttachment, context: AttachContext): Promise<void> {
  const read = context.clock.now();
  await sharedProof(
    held,
    context,
    (since) => since >= read,
    () => proveConnected(held, context),
  );
}

/**
 * Proves that the source is the image's volume (identity.ts), now; keeps what it learnt pinned. Rejects with
 * `identity_mismatch`, or with `connector_failed` when the volume cannot be read.
 */
export async function proveHeld(held: LiveAttachment, context: AttachContext): Promise<void> {
  const { clock, pins, times, log } = context;
  const { volumeId, imageId } = held.record;
  const begun = clock.now();
  const work = async (): Promise<void> => {
    await judgeObject(held);
    const { pin, trusted } = await prove(held.connected, subjectOf(held.record, context), pins);
    // What was ours before and after it was read was not given to another host in between, unless behind Cinder's back.
    if (trusted) await checkHeld(held, context, CHECK_MS, ['attaching', 'attached']);
    const known = pins.get(volumeId);
    if (samePin(known, pin)) return;
    if (known?.backend !== pin.backend && known?.imageId === imageId)
      log.warn(
        { volume: volumeId, was: known.backend, is: pin.backend },
        'the backend renamed a volume of ours; its content is the same',
      );
    await pins.write(pin);
  };
  await withDeadline(work(), {
    clock,
    ms: times.connectMs,
    onTimeout: () =>
      new CinderfsError('connector_failed', `volume ${volumeId} is connected but cannot be read`, {
        volume: volumeId,
      }),
  });
  held.provenAt = begun;
}

function subjectOf(record: AttachmentRecord, { verifyLimit }: AttachContext): Subject {
  const { volumeId, imageId, imageSize, backend, named = false, doubt } = record;
  const hash = imageSize <= verifyLimit ? record.hash : undefined;
  return { volumeId, imageId, imageSize, hash, backend, named, doubt, cloned: targetOf(record).renamed };
}

/** Joins a proof that is fresh, by when it began, or begins one: an earlier one may have looked before the volume was swapped. */
async function sharedProof(
  held: LiveAttachment,
  { clock }: AttachContext,
  fresh: (since: number) => boolean,
  prove: () => Promise<void>,
): Promise<void> {
  if (fresh(held.provenAt)) return;
  while (held.proving !== undefined && !fresh(held.proving.since))
    await held.proving.done.catch(() => undefined);
  if (held.proving === undefined) {
    const done = prove().finally(() => (held.proving = undefined));
    held.proving = { since: clock.now(), done };
  }
  await held.proving.done;
}

async function checkAndProve(held: LiveAttachment, context: AttachContext): Promise<void> {
  if (context.clock.now() - held.checkedAt >= context.times.recheckMs)
    await checkHeld(held, context, CHECK_MS);
  await proveConnected(held, context);
}

/** Proves it through the connection there is; where that is lost meanwhile, through the one that takes its place. */
async function proveConnected(held: LiveAttachment, context: AttachContext): Promise<void> {
  for (;;) {
    await held.reconnecting;
    const { connected } = held;
    try {
      await proveHeld(held, context);
      return;
    } catch (error) {
      if (!(await isLost(connected))) throw error;
      await held.reconnecting;
      if (held.connected === connected || held.fence.signal.aborted) throw error;
    }
  }
}

/** Asked when something failed, a loss shows at once. */
export async function isLost({ object, lost }: Connected): Promise<boolean> {
  if (!lost.aborted) await object().catch(() => undefined);
  return lost.aborted;
}

/** The path may have been given to something else since: a new file, a new disk under an old name. */
async function judgeObject(held: LiveAttachment): Promise<void> {
  const seen = await held.connected.object();
  held.object ??= seen;
  if (seen === held.object) return;
  const volume = held.record.volumeId;
  throw new CinderfsError('identity_mismatch', `the source of volume ${volume} is another object now`, {
    volume,
  });
}
