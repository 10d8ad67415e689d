import { CinderfsError } from '../../errors.js';
import { attachedVolumeOf } from '../journal/record.js';
import type { ConnectRequest } from '../connection/connector.js';
import { formatOf } from '../connection/volume-format.js';
import type { AttachContext } from '../context/context.js';
import { targetOf } from '../target/choose-target.js';
import { connectProven } from './connect-proven.js';
import type { LiveAttachment } from './live-attachment.js';
import { vouchedFor } from './vouched.js';

/**
 * A connection that vanishes this soon, so many times in a row, has a reason that connecting does not cure. A neighbour
 * that attaches and detaches the same volume takes it away with each detach, seconds apart.
 */
const SETTLED_MS = 5_000;
const QUICK_LOSSES = 10;

/**
 * Connects a volume again whose connection vanished under us: same attachment, same plan and so the same source, proven
 * before it is read. Rejects when it cannot, or when that happened a moment ago; the caller fences then.
 */
export async function reconnect(
  held: LiveAttachment,
  context: AttachContext,
  signal: AbortSignal,
): Promise<void> {
  const { attachments, clock, journal, log } = context;
  const { attachmentId } = held.record;
  const volumeId = attachedVolumeOf(held.record);
  const why = CinderfsError.from(held.connected.lost.reason, 'connector_failed');
  held.quickLosses = clock.now() - held.reconnectedAt < SETTLED_MS ? held.quickLosses + 1 : 0;
  if (why.code === 'identity_mismatch' || held.quickLosses === QUICK_LOSSES) throw why;
  log.warn(
    { volume: volumeId, reason: why.message },
    'the connection of a volume vanished; connecting again',
  );
  const record = targetOf(held.record).lostAt(clock.wall());
  if (record !== held.record) await journal.write(record);
  const { connectionInfo: info } = await attachments.show(attachmentId ?? '');
  if (info === undefined) throw why;
  if (formatOf(info) !== 'raw' && record.doubt === undefined)
    throw new CinderfsError('identity_mismatch', `volume ${volumeId} was raw, and is not any more`, {
      volume: volumeId,
    });
  const vouched = await vouchedFor(record, info, context);
  await connectProven(() => connectAgain(held, { volumeId, info, signal, ...vouched }), context);
  held.connections++;
  held.reconnectedAt = clock.now();
  context.counters.reconnects++;
  await journal.write({ ...record, host: held.connected.host });
}

/** The same volume by another connection. */
async function connectAgain(held: LiveAttachment, request: ConnectRequest): Promise<LiveAttachment> {
  const { connector, connected: before } = held;
  // What there is by now may be the device of another service, that just attached the same volume.
  if (connector.sharesDevices !== true) await connector.disconnect(before.host);
  held.connected = await connector.connect(request, connector.plan(request));
  // Another device by right: its identity is up to the proof.
  held.object = undefined;
  if (held.connected.deviceName === before.deviceName) return held;
  const { volumeId: volume } = request;
  throw new CinderfsError('identity_mismatch', `volume ${volume} came back as another device`, { volume });
}
