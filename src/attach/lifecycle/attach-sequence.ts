import { CinderfsError, reasonOf } from '../../errors.js';
import type { ConnectionInfo, Volume } from '../../cinder/types.js';
import { locksOf } from '../brick/volume-guard.js';
import { formatOf } from '../volume-format.js';
import type { Connected, Connector } from '../connector.js';
import type { AttachContext } from '../context.js';
import { connectProven } from './connect-proven.js';
import { type Held, hold } from './held.js';
import { backendName, judgeConnection } from './identity.js';
import type { AttachableImage } from '../lease.js';
import { type AttachmentRecord, type ImageHash, targetOf } from '../journal/record.js';
import { makeClone } from './clone.js';
import { exportVolume } from './export-volume.js';
import { refused } from './refusal.js';
import { reserve } from './reserve.js';

const UNUSABLE = /^(error|maintenance|deleting|creating|restoring|awaiting)/;

/**
 * Attaches the image's volume to this host, read-only: reserve, export, connect, prove, complete. Each step is
 * journaled before it is taken, so whoever catches an error here (or a crash) has a record for undo().
 *
 * A multiattach volume completes before the host work: until then Cinder refuses every other host, and a boot storm
 * takes twice as long. The lease, and with it the first byte, comes after the proof in any case.
 */
export async function attach(
  image: AttachableImage,
  context: AttachContext,
  signal: AbortSignal,
): Promise<Held> {
  const source = await usableVolume(image.volumeId, context);
  const intent = await intentFor(image, source, context, signal);
  const { record, giveSlotBack } = await reserve(intent, context, signal);
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
): Promise<Held> {
  const { journal, log } = context;
  const { multiattach } = reserved;
  const volumeId = targetOf(reserved);
  let record = reserved;
  const info = await exportVolume(record, context);
  judgeConnection(info, volumeId);
  const connector = await choose(info, context, volumeId);
  if (multiattach) record = await complete(record, context);
  signal.throwIfAborted();
  const plan = connector.plan({ volumeId, info });
  const backend = backendName(info);
  record = { ...record, step: 'connect', connector: connector.name, host: plan, backend };
  await journal.write(record);
  const request = { volumeId, info, signal, exclusive: !multiattach };
  const connecting = record;
  const held = await connectProven(async () => {
    const connected = await connector.connect(request, plan);
    const named = { ...connecting, host: connected.host, ...nameOf(backend, connected) };
    return hold(named, connector, connected);
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
    step: 'reserve',
    since: context.clock.wall(),
    before: [],
    answered: false,
  };
  const locks = (volume: Volume): readonly string[] | Promise<readonly string[]> =>
    context.choices.some(({ sharesDevices }) => sharesDevices) ? locksOf(volume) : [];
  if (context.isolate === 'none' || source.multiattach)
    return { ...intent, before: await attachmentsOf(source.id, context), locks: await locks(source) };
  const work = (): ReturnType<typeof makeClone> => makeClone(intent, source, context, signal);
  const { volume, clone } = await context.slots.run(work, signal);
  return { ...intent, clone, multiattach: volume.multiattach, locks: await locks(volume) };
}

/** An IQN or an rbd name is what was connected to; a WWN proves something where the device could be asked for it. */
function nameOf(
  told: string | undefined,
  { deviceName }: Connected,
): Pick<AttachmentRecord, 'backend' | 'named'> {
  const named = told !== undefined && (deviceName !== undefined || !told.startsWith('wwn:'));
  return { backend: told ?? deviceName, named };
}

function hashOf({ hashAlgorithm: algorithm, hashValue: value }: AttachableImage): ImageHash | undefined {
  return algorithm === undefined || value === undefined ? undefined : { algorithm, value };
}

async function attachmentsOf(volumeId: string, { attachments }: AttachContext): Promise<readonly string[]> {
  const listed = await attachments.listForVolume(volumeId).catch((error: unknown) => {
    throw refused(error, volumeId);
  });
  return listed.map(({ id }) => id);
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
