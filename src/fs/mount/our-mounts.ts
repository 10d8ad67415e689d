import type { MountEntry } from '../../sys/mounts/mount-table.js';

/** The file system type of our mounts, as the mount table shows it. */
export const MOUNT_TYPE = 'fuse.cinderfs';

/** Alive or dead, whichever user mounted it. */
export function isMountOfOurs({ type }: Pick<MountEntry, 'type'>): boolean {
  return type === MOUNT_TYPE;
}

/** The user that mounted, of a FUSE mount. */
export function mounterOf({ options }: Pick<MountEntry, 'options'>): number | undefined {
  const user = options.find((option) => option.startsWith('user_id='))?.slice('user_id='.length);
  return user === undefined ? undefined : Number(user);
}
