import { stateOfMount, type MountState } from '../../fs/mount/mount-state.js';
import { isMountOfOurs, mounterOf } from '../../fs/mount/our-mounts.js';
import { readMountTable } from '../../sys/mounts/mount-table.js';

/** A mount of ours that stands although no daemon answers for it. */
export interface OtherMount {
  readonly mountpoint: string;
  readonly state: MountState;
}

/** The mounts of this user, or of root, other than those `known`. */
export async function otherMounts(known: readonly string[]): Promise<readonly OtherMount[]> {
  const uid = process.geteuid?.() ?? 0;
  const table = await readMountTable();
  // What another user mounted tells root nothing: its type and its text were chosen by that user.
  const ours = table.filter((mount) => isMountOfOurs(mount) && mounterOf(mount) === uid);
  const mountpoints = [...new Set(ours.map(({ mountpoint }) => mountpoint))];
  return Promise.all(
    mountpoints
      .filter((mountpoint) => !known.includes(mountpoint))
      .map(async (mountpoint) => ({ mountpoint, state: await stateOfMount(mountpoint) })),
  );
}
