import { abort } from './fuse-connection.js';
import { describeHolder, findHoldersIn } from './holders.js';
import { describeCopy, findCopies, type MountCopy } from './mount-copies.js';
import { readMountTable, type MountEntry } from '../../sys/mounts/mount-table.js';
import { unmount } from './mountpoint.js';

/**
 * A mount of ours in this mount namespace, known by the kernel's numbers: an unmount here does not end its
 * file system, which may be mounted elsewhere as well, and another one may stand at its mount point by then.
 */
export class MountedPlace {
  readonly #mount: MountEntry;

  constructor(mount: MountEntry) {
    this.#mount = mount;
  }

  /** Whether it is mounted in this namespace, at whatever directory. */
  async here(): Promise<boolean> {
    return (await this.#find()) !== undefined;
  }

  /** Takes it out of this namespace; throws `holders` when it is busy, unless `lazy`. Nothing when it is not here. */
  async unmount({ lazy = false }: { readonly lazy?: boolean } = {}): Promise<void> {
    const mount = await this.#find();
    if (mount !== undefined) await unmount(mount.mountpoint, { lazy });
  }

  /** The processes that use files of it, here and in its copies, and then where else it is mounted here; one line each. */
  async readers(): Promise<readonly string[]> {
    const copies = await findCopies(this.#mount);
    const directories = [this.#mount.mountpoint, ...copies.map(({ mountpoint }) => mountpoint)];
    const mounts = new Set([this.#mount.id, ...copies.map(({ id }) => id)]);
    const holders = await findHoldersIn({ directories: [...new Set(directories)], mounts });
    return holders.length === 0 ? [] : [...holders.map(describeHolder), ...madeHere(copies)];
  }

  /** Where else the file system is mounted; one line each. */
  async copies(): Promise<readonly string[]> {
    return (await findCopies(this.#mount)).map(describeCopy);
  }

  /**
   * Ends the connection, wherever the file system is mounted, and takes it out of this namespace.
   *
   * @throws CinderfsError `fuse_failed` when the kernel cannot be told.
   */
  async cutOff(): Promise<void> {
    await abort(this.#mount.minor, (await this.#find())?.mountpoint);
    await this.unmount({ lazy: true });
  }

  async #find(): Promise<MountEntry | undefined> {
    const { id, major, minor } = this.#mount;
    const table = await readMountTable();
    return table.find((entry) => entry.id === id && entry.major === major && entry.minor === minor);
  }
}

/** Those of other namespaces may only mirror ours, and processes that read in them are named with a pid. */
function madeHere(copies: readonly MountCopy[]): readonly string[] {
  return copies.filter(({ process }) => process === undefined).map(describeCopy);
}
