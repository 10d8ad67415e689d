import type { AttachContext } from '../context.js';

export interface ReapOptions {
  /** Only say what would be deleted. */
  readonly dryRun: boolean;
  /** A host that will not come back: attachments of every cinderfs mount there. Default: those of this mount. */
  readonly deadHost?: string | undefined;
}

/** A completed attachment that says it is ours and that nobody here knows. */
export interface Leftover {
  readonly volumeId: string;
  readonly attachmentId: string;
  /** The mount it says it belongs to. */
  readonly owner: string;
  readonly deleted: boolean;
}

/**
 * Settles what no journal remembers (a state directory that was lost, a host that died for good): attachments of the
 * given volumes whose connector named a mount of ours. Cinder shows that for completed attachments only; a reservation
 * that its host never finished is that host's own to undo, on its next start.
 */
export async function reap(
  volumeIds: readonly string[],
  context: AttachContext,
  options: ReapOptions,
): Promise<readonly Leftover[]> {
  const { attachments, journal, properties, volumes } = context;
  const mine = properties.mountpoint;
  const { deadHost, dryRun } = options;
  const isLeftover = (owner: string): boolean =>
    deadHost === undefined ? owner === mine : owner.startsWith(`cinderfs:${deadHost}:`) && owner !== mine;
  const found: Leftover[] = [];
  for (const volumeId of volumeIds) {
    const volume = await volumes.show(volumeId);
    for (const { attachmentId, device: owner } of volume.attachments) {
      // What the journal knows is held, or is being undone already.
      const known = journal.get(volumeId)?.attachmentId === attachmentId;
      if (owner === undefined || known || !isLeftover(owner)) continue;
      if (!dryRun) await attachments.delete(attachmentId);
      found.push({ volumeId, attachmentId, owner, deleted: !dryRun });
    }
  }
  return found;
}
