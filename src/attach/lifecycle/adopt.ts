import { backoffDelay } from '../../async/backoff.js';
import { sleep } from '../../async/clock.js';
import { CinderfsError, reasonOf } from '../../errors.js';
import type { AttachContext } from '../context/context.js';
import { type LiveAttachment, hold } from './live-attachment.js';
import { proveHeld } from './proving.js';
import type { AttachmentRecord } from '../journal/record.js';

/**
 * The attachment of an earlier process, when it is whole: finished according to the journal, attached according to
 * Cinder, connected on this host, and proven again. Undefined otherwise; undo() then removes what there is. An
 * unreachable Cinder cannot say that it is whole. In place, where readers wait on a mount whose engine has just died,
 * Cinder is not asked before they read on: the watcher asks soon.
 *
 * A share or device that hangs says nothing about the attachment: it is asked again until it answers, or until `signal`.
 */
export async function adopt(
  record: AttachmentRecord,
  context: AttachContext,
  signal: AbortSignal,
): Promise<LiveAttachment | undefined> {
  for (let attempt = 0; !signal.aborted; attempt++) {
    const outcome = await tryAdopt(record, context);
    if (outcome !== 'hangs') return outcome;
    await sleep(context.clock, backoffDelay(AGAIN, attempt, context.random), signal).catch(() => undefined);
  }
  return undefined;
}

const AGAIN = { baseMs: 2_000, capMs: 30_000 };

async function tryAdopt(
  record: AttachmentRecord,
  context: AttachContext,
): Promise<LiveAttachment | 'hangs' | undefined> {
  const { volumeId: volume, attachmentId: attachment, host } = record;
  const connector = context.connectors.find(({ name }) => name === record.connector);
  if (record.step !== 'attached' || attachment === undefined || host === undefined || connector === undefined)
    return undefined;
  try {
    if (context.inPlace !== true && (await context.attachments.show(attachment)).status !== 'attached')
      return undefined;
    const connected = await connector.adopt(host);
    if (connected === undefined) return undefined;
    const held = hold(record, connector, connected);
    await proveHeld(held, context);
    context.counters.adoptions++;
    context.log.info({ volume, attachment }, 'adopted an attachment of an earlier process');
    return { ...held, checkedAt: context.clock.now() };
  } catch (error) {
    context.counters.identity_mismatches += Number(
      CinderfsError.is(error) && error.code === 'identity_mismatch',
    );
    if (CinderfsError.is(error) && error.code === 'host_hung') {
      context.log.warn({ volume, attachment, reason: error.message }, 'cannot resume an attachment yet');
      return 'hangs';
    }
    context.log.warn(
      { volume, attachment, reason: reasonOf(error) },
      'cannot resume an attachment; detaching it',
    );
    return undefined;
  }
}
