import { sleep } from '../../async/clock.js';
import { CinderfsError } from '../../errors.js';
import type { Volume } from '../../cinder/types.js';
import type { AttachContext } from '../context.js';
import { couldBeOurs } from './orphan.js';

export interface ReapOptions {
  /** Only say what would be deleted. */
  readonly dryRun: boolean;
  /** A host that will not come back, as it called itself to Cinder. Default: what this mount lost track of. */
  readonly deadHost?: string | undefined;
}

/** Something of ours in Cinder that nobody here knows. */
export interface Leftover {
  readonly volumeId: string;
  /** Undefined where a journal remembers a reservation whose answer never came. */
  readonly attachmentId: string | undefined;
  /** The mount it says it belongs to (`cinderfs:HOST:MOUNT`); undefined for a reservation, which says nothing. */
  readonly owner: string | undefined;
  readonly deleted: boolean;
}

/**
 * Settles what no journal remembers (a state directory that was lost, a host that died for good), in the volumes of our
 * project.
 *
 * A completed attachment says whose it is: the connector named the mount. A reservation that was never finished says
 * nothing, and blocks the volume for everybody. With `deadHost` those go too that stay unfinished for as long as no
 * host that is alive takes. `usage` when the dead host is this one: what runs here settles its own on its next start.
 */
export async function reap(context: AttachContext, options: ReapOptions): Promise<readonly Leftover[]> {
  const { properties, volumes } = context;
  const { deadHost } = options;
  if (deadHost === properties.host)
    throw new CinderfsError('usage', `${deadHost} is this host: it is not dead`, {
      remedy: 'Leave --dead-host out to settle what a mount of this host left.',
    });
  const listed = await volumes.list();
  const found = listed.flatMap((volume) => completedOf(volume, context, options));
  const unfinished = deadHost === undefined ? [] : await unfinishedOf(listed, context, options);
  const leftovers = [...found, ...unfinished];
  if (!options.dryRun)
    for (const { attachmentId } of leftovers)
      if (attachmentId !== undefined) await context.attachments.delete(attachmentId);
  return leftovers.map((leftover) => ({ ...leftover, deleted: !options.dryRun }));
}

function completedOf(
  volume: Volume,
  { journal, properties }: AttachContext,
  options: ReapOptions,
): Leftover[] {
  const mine = properties.mountpoint;
  const { deadHost } = options;
  return volume.attachments.flatMap(({ attachmentId, device: owner }) => {
    // What the journal knows is held, or is being undone already.
    if (owner === undefined || journal.get(volume.id)?.attachmentId === attachmentId) return [];
    const isLeftover = deadHost === undefined ? owner === mine : owner.startsWith(`cinderfs:${deadHost}:`);
    return isLeftover ? [{ volumeId: volume.id, attachmentId, owner, deleted: false }] : [];
  });
}

/**
 * Reservations and exports that nobody finishes. Whoever is alive gets from the one to the other in API time, and from
 * an export to its completion within the time for connecting; what stays longer belongs to nobody.
 */
async function unfinishedOf(
  listed: readonly Volume[],
  context: AttachContext,
  { dryRun }: ReapOptions,
): Promise<Leftover[]> {
  const { clock, times } = context;
  const before = await unfinishedIn(listed, context);
  if (before.size === 0) return [];
  if (!dryRun) await sleep(clock, times.orphanMs + times.connectMs);
  const after = dryRun ? before : await unfinishedIn(listed, context);
  return [...before]
    .filter(([attachmentId, { status }]) => after.get(attachmentId)?.status === status)
    .map(([attachmentId, { volumeId }]) => ({ volumeId, attachmentId, owner: undefined, deleted: false }));
}

async function unfinishedIn(
  listed: readonly Volume[],
  { attachments, journal }: AttachContext,
): Promise<ReadonlyMap<string, { readonly volumeId: string; readonly status: string }>> {
  const found = new Map<string, { volumeId: string; status: string }>();
  for (const { id: volumeId, status } of listed) {
    // What we work on ourselves is in the journal, and not for us to guess about here.
    if (journal.get(volumeId) !== undefined || !['reserved', 'attaching', 'in-use'].includes(status))
      continue;
    for (const attachment of await attachments.listForVolume(volumeId))
      if (['reserved', 'attaching'].includes(attachment.status) && couldBeOurs(attachment))
        found.set(attachment.id, { volumeId, status: attachment.status });
  }
  return found;
}
