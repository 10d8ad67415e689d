import { CinderfsError, reasonOf } from '../../errors.js';
import type { ConnectionInfo } from '../../cinder/contract/attachments.js';
import type { Volume } from '../../cinder/contract/volumes.js';
import { locksOf } from '../connectors/brick/volume-guard.js';
import { formatOf } from '../connection/volume-format.js';
import type { Connected, Connector } from '../connection/connector.js';
import type { AttachContext } from '../context/context.js';
import { connectProven } from './connect-proven.js';
import { type LiveAttachment, hold } from './live-attachment.js';
import { isEncrypted, judgeEncrypted } from '../proof/encryption.js';
import { backendName, connectedByName, judgeConnection } from '../proof/identity.js';
import type { AttachableImage } from '../contract/lease.js';
import { type AttachmentRecord, type ImageHash, attachedVolumeOf } from '../journal/record.js';
import { newTarget } from '../target/choose-target.js';
import { exportVolume } from './export-volume.js';
import { attachBudget, patientContext } from './outage.js';
import { refused } from '../context/refusal.js';
import { reserve } from './reserve.js';
import { vouchedFor } from './vouched.js';

const UNUSABLE = /^(error|maintenance|deleting|creating|restoring|awaiting)/;

/**
 * Attaches the image's volume to this host, read-only: reserve, export, connect, prove, complete. Each step is
 * journaled before it is taken, so that after an error here (or a crash) there is a record for undo().
 *
 * An outage of Cinder or Keystone that is shorter than the attach budget is only a delay, at every step.
 *
 * A multiattach volume completes before the host work: until then Cinder refuses every other host, and a boot storm
 * takes twice as long. The lease, and with it the first byte, comes after the proof in any case.
 */
export async function attach(
  image: AttachableImage,
  impatient: AttachContext,
  signal: AbortSignal,
): Promise<LiveAttachment> {
  const budget = attachBudget(impatient, signal);
  const context = patientContext(impatient, budget);
  const source = await usableVolume(image.volumeId, context);
  const intent = await intentFor(image, source, context, signal);
  const { record, giveSlotBack } = await reserve(intent, context, budget);
  try {
    const release = await context.guard(record.locks ?? []);
    return await connectReserved(record, context, signal).finally(release);
  } finally {
    giveSlotBack();
  }
}

async function connectReserved(
  reserved: AttachmentRecord,
  context: AttachContext,
  signal: AbortSignal,
): Promise<LiveAttachment> {
  const { journal, log } = context;
  const { multiattach } = reserved;
  const volumeId = attachedVolumeOf(reserved);
  let record = reserved;
  const info = await exportVolume(record, context);
  judgeConnection(info, volumeId);
  record = { ...record, doubt: doubtOf(record, info, context) };
  const connector = await choose(info, context, volumeId);
  if (multiattach) record = await complete(record, context);
  signal.throwIfAborted();
  const plan = connector.plan({ volumeId, info });
  record = { ...record, step: 'connect', connector: connector.name, host: plan, backend: backendName(info) };
  await journal.write(record);
  const vouched = await vouchedFor(record, info, context);
  const request = { volumeId, info, signal, ...vouched, exclusive: !multiattach };
  const connecting = record;
  const held = await connectProven(async () => {
    const connected = await connector.connect(request, plan);
    const made = { ...connecting, host: connected.host, ...proofOf(info, volumeId, connected) };
    return hold(made, connector, connected);
  }, context);
  record = held.record;
  if (!multiattach) record = await complete(record, context);
  record = { ...record, step: 'attached' };
  await journal.write(record);
  log.debug({ volume: volumeId, attachment: record.attachmentId, connector: connector.name }, 'attached');
  return { ...held, record, checkedAt: context.clock.now() };
}

/**
 * The first connector that can reach such a volume on this host; why the others were passed over goes to the log. What no
 * connector may serve is refused before one is asked: a fallback would undo the refusal of the others.
 */
export async function choose(
  info: ConnectionInfo,
  context: AttachContext,
  volume: string,
): Promise<Connector> {
  formatOf(info);
  const refusals: CinderfsError[] = [];
  for (const connector of context.choices) {
    const refusal = await connector.refusal(info);
    if (refusal === undefined) {
      const passed = refusals.map(reasonOf);
      // A better way that only a package is missing for is worth knowing.
      const level = refusals.some(({ code }) => code === 'connector_missing') ? 'info' : 'debug';
      context.log[level](
        { volume, protocol: info.driver_volume_type, connector: connector.name, passed },
        'chose a connector',
      );
      return connector;
    }
    refusals.push(refusal);
  }
  // A missing package says more to an operator than a protocol that another connector never spoke.
  const telling = refusals.find(({ code }) => code !== 'protocol_unsupported') ?? refusals.at(-1);
  throw telling ?? new CinderfsError('protocol_unsupported', 'no connector is enabled', { volume });
}

async function usableVolume(id: string, { volumes }: AttachContext): Promise<Volume> {
  const volume = await volumes.show(id).catch((error: unknown) => {
    throw refused(error, id);
  });
  if (UNUSABLE.test(volume.status))
    throw new CinderfsError('attach_refused', `volume ${id} is in status ${volume.status}`, {
      volume: id,
      remedy: 'Bring the volume back to available (see the cinder-volume log), then open the image again.',
    });
  return volume;
}

/** What is about to be attached: the image's volume, or a clone of it that is made now. */
async function intentFor(
  image: AttachableImage,
  source: Volume,
  context: AttachContext,
  signal: AbortSignal,
): Promise<AttachmentRecord> {
  const intent: AttachmentRecord = {
    version: 1,
    volumeId: source.id,
    imageId: image.id,
    imageName: image.name,
    imageSize: image.size,
    hash: hashOf(image),
    multiattach: source.multiattach,
    doubt: isEncrypted(source) || isEncrypted(image) ? 'encrypted' : undefined,
    step: 'reserve',
    since: context.clock.wall(),
    before: [],
    answered: false,
  };
  if (intent.doubt === 'encrypted') judgeEncrypted(intent, context.verifyLimit);
  const locks = (volume: Volume): readonly string[] | Promise<readonly string[]> =>
    context.choices.some(({ sharesDevices }) => sharesDevices) ? locksOf(volume) : [];
  const { record, volume } = await newTarget(intent, source, context).make(source, context, signal);
  return { ...record, locks: await locks(volume) };
}

/** Why the bytes must be compared with Glance's hash. `volume_encrypted` where they must and cannot be. */
function doubtOf(
  record: AttachmentRecord,
  info: ConnectionInfo,
  { verifyLimit, log }: AttachContext,
): AttachmentRecord['doubt'] {
  const { doubt, volumeId: volume, imageId: image, imageSize, hash } = record;
  if (doubt === 'encrypted' || isEncrypted({}, info)) {
    judgeEncrypted(record, verifyLimit);
    return 'encrypted';
  }
  if (formatOf(info) === 'raw') return undefined;
  if (hash === undefined || imageSize > verifyLimit)
    log.warn(
      { volume, image, format: info.format },
      "a volume is decoded and its image is not compared with Glance's hash: there is none, or verify_limit is smaller",
    );
  return 'decoded';
}

/** What the proof has to know of the connection. */
function proofOf(
  info: ConnectionInfo,
  volumeId: string,
  { deviceName }: Connected,
): Partial<AttachmentRecord> {
  return { backend: backendName(info) ?? deviceName, named: connectedByName(info, volumeId, deviceName) };
}

function hashOf({ hashAlgorithm: algorithm, hashValue: value }: AttachableImage): ImageHash | undefined {
  return algorithm === undefined || value === undefined ? undefined : { algorithm, value };
}

async function complete(record: AttachmentRecord, context: AttachContext): Promise<AttachmentRecord> {
  const completing = { ...record, step: 'complete' } as const;
  await context.journal.write(completing);
  try {
    await context.attachments.complete(record.attachmentId ?? '');
  } catch (error) {
    throw refused(error, record.volumeId);
  }
  return completing;
}
