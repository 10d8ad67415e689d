import { sleep } from '../../async/clock.js';
import { CinderfsError } from '../../errors.js';
import type { Volume } from '../../cinder/contract/volumes.js';
import type { AttachContext } from '../context/context.js';
import type { Leftover, ReapOptions } from '../contract/leftovers.js';
import { attachedVolumeOf } from '../journal/record.js';
import { CLONE_PREFIX, OWNER_TAG, removeClone } from '../target/clone.js';
import { couldBeOurs } from './orphan.js';

/**
 * Settles what no journal remembers (a state directory that was lost, a host that died for good), in the volumes of our
 * project.
 *
 * A completed attachment names its owner: the connector named the mount. A reservation that was never finished says
 * nothing, and blocks the volume for every host. With `deadHost` those go too that stay unfinished for as long as no
 * host that is alive takes. `usage` when the dead host is this one: what runs here settles its own on its next start.
 */
export async function reap(
  context: AttachContext,
  options: ReapOptions,
  signal: AbortSignal,
): Promise<readonly Leftover[]> {
  const { properties, volumes } = context;
  const { deadHost } = options;
  if (deadHost === properties.host)
    throw new CinderfsError('usage', `${deadHost} is this host: it is not dead`, {
      remedy: 'Leave --dead-host out to settle what a mount of this host left.',
    });
  const listed = await volumes.list();
  const found = listed.flatMap((volume) => completedOf(volume, context, options));
  const clones = clonesIn(listed, context, options);
  const unfinished = deadHost === undefined ? [] : await unfinishedOf(listed, context, options, signal);
  // A clone can be deleted once nothing is attached to it.
  const leftovers = [...found, ...unfinished, ...clones];
  const begun = context.clock.now();
  if (!options.dryRun) for (const leftover of leftovers) await remove(leftover, begun, context, signal);
  return leftovers.map((leftover) => ({ ...leftover, deleted: !options.dryRun }));
}

/** Clones that say they are of this mount and that no journal knows; it must have read its journal. */
export async function sweepClones(context: AttachContext, signal: AbortSignal): Promise<void> {
  const begun = context.clock.now();
  for (const clone of clonesIn(await context.volumes.list(), context, { dryRun: false })) {
    context.log.warn({ volume: clone.volumeId }, 'deleting an orphaned clone');
    await removeStray(clone.volumeId, begun, context, signal);
  }
}

/** Its reader may have died a moment before `begun`, or read it still: see deleteClone(). */
async function removeStray(
  cloneId: string,
  begun: number,
  context: AttachContext,
  signal: AbortSignal,
): Promise<void> {
  const { clock, connectors, times } = context;
  for (const connector of connectors) await connector.endStray?.(cloneId);
  const left = begun + times.forgetMs - clock.now();
  if (left > 0) await sleep(clock, left, signal);
  await removeClone(cloneId, context, signal);
}

async function remove(
  { what, volumeId, attachmentId }: Leftover,
  begun: number,
  context: AttachContext,
  signal: AbortSignal,
): Promise<void> {
  if (what === 'clone') await removeStray(volumeId, begun, context, signal);
  else if (attachmentId !== undefined) await context.attachments.delete(attachmentId);
}

/** Whether what says it belongs to `owner` is what we look for. */
function isLeftover(owner: string, { properties }: AttachContext, { deadHost }: ReapOptions): boolean {
  return deadHost === undefined ? owner === properties.mountpoint : owner.startsWith(`cinderfs:${deadHost}:`);
}

/** The tag alone proves nothing (a user that may write to a volume may write it): the name must be one of ours, too. */
function clonesIn(listed: readonly Volume[], context: AttachContext, options: ReapOptions): Leftover[] {
  const known = new Set(context.journal.list().map(({ clone }) => clone?.name));
  return listed.flatMap(({ id: volumeId, name, metadata }) => {
    const owner = metadata[OWNER_TAG];
    if (owner === undefined || !name.startsWith(CLONE_PREFIX) || known.has(name)) return [];
    const clone = { what: 'clone', volumeId, attachmentId: undefined, owner, deleted: false } as const;
    return isLeftover(owner, context, options) ? [clone] : [];
  });
}

function completedOf(volume: Volume, context: AttachContext, options: ReapOptions): Leftover[] {
  // What the journal knows is held, or is being undone already.
  const known = new Set(context.journal.list().map(({ attachmentId }) => attachmentId));
  return volume.attachments.flatMap(({ attachmentId, device: owner }) => {
    if (owner === undefined || known.has(attachmentId) || !isLeftover(owner, context, options)) return [];
    return [{ what: 'attachment', volumeId: volume.id, attachmentId, owner, deleted: false }];
  });
}

/**
 * Reservations and exports that no host finishes. A living host gets from the one to the other in API time, and from
 * an export to its completion within the time for connecting; what stays longer has no owner.
 */
async function unfinishedOf(
  listed: readonly Volume[],
  context: AttachContext,
  { dryRun }: ReapOptions,
  signal: AbortSignal,
): Promise<Leftover[]> {
  const { clock, times } = context;
  const before = await unfinishedIn(listed, context);
  if (before.size === 0) return [];
  if (!dryRun) await sleep(clock, times.orphanMs + times.connectMs, signal);
  const after = dryRun ? before : await unfinishedIn(listed, context);
  return [...before]
    .filter(([attachmentId, { status }]) => after.get(attachmentId)?.status === status)
    .map(([attachmentId, { volumeId }]) => ({
      what: 'attachment',
      volumeId,
      attachmentId,
      owner: undefined,
      deleted: false,
    }));
}

async function unfinishedIn(
  listed: readonly Volume[],
  { attachments, journal }: AttachContext,
): Promise<ReadonlyMap<string, { readonly volumeId: string; readonly status: string }>> {
  const found = new Map<string, { volumeId: string; status: string }>();
  const ours = new Set(journal.list().flatMap((record) => [record.volumeId, attachedVolumeOf(record)]));
  for (const { id: volumeId, status } of listed) {
    // What we work on ourselves is in the journal, and not for us to guess about here.
    if (ours.has(volumeId) || !['reserved', 'attaching', 'in-use'].includes(status)) continue;
    for (const attachment of await attachments.listForVolume(volumeId))
      if (['reserved', 'attaching'].includes(attachment.status) && couldBeOurs(attachment))
        found.set(attachment.id, { volumeId, status: attachment.status });
  }
  return found;
}
