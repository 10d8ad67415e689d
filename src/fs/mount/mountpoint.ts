/** The mount point: is it fit, healing one that a dead daemon left, and taking a mount down. Shared by the transports. */
import { readdir } from 'node:fs/promises';
import { CinderfsError, reasonOf } from '../../errors.js';
import type { Log } from '../../log.js';
import { runSystemCommand } from '../../sys/processes/system-command.js';
import { describeHolder, findHolders } from './holders.js';
import { distrust, holdDirectory, Untrusted, type HeldDirectory } from '../../sys/files/trusted-path.js';
import { absolute, mountCalled, nameOfMount } from './mount-name.js';
import { stateOfMount } from './mount-state.js';
import { isMountOfOurs } from './our-mounts.js';
import { findMount, readMountTable } from '../../sys/mounts/mount-table.js';

/** Milliseconds for one umount(8) or fusermount: it only talks to the kernel, and to us. */
const UMOUNT_TIMEOUT_MS = 30_000;

/**
 * Checks that `directory` can be mounted on and returns it as an absolute path without symlinks. A mount of ours
 * whose daemon died (ENOTCONN) is taken away first (F8). `mountpoint_invalid` or `mountpoint_busy` otherwise.
 */
export async function prepareMountpoint(directory: string, log: Log): Promise<string> {
  const path = await trustedMountpoint(directory);
  if (await healMountpoint(path)) log.warn({ path }, 'removed a stale mount (its daemon is gone)');
  const mount = await findMount(path);
  if (mount !== undefined) {
    throw new CinderfsError('mountpoint_busy', `${path} is a mount point already (${mount.type})`, { path });
  }
  await checkEmptyDirectory(path);
  return path;
}

/**
 * The path that `directory` leads to, where no other user can make it lead elsewhere. As a user fusermount3 sees to that.
 *
 * @throws CinderfsError `mountpoint_invalid`, or `usage` for a path inside a mount.
 */
export async function trustedMountpoint(directory: string): Promise<string> {
  const mounts = new Set((await readMountTable()).map(({ mountpoint }) => mountpoint));
  const asRoot = process.getuid?.() === 0;
  const why = asRoot ? distrust(absolute(directory), { itself: false, mounts }) : undefined;
  const path = await mountCalled(directory);
  if (why !== undefined) throw unsafe(path, why);
  return path;
}

/**
 * Holds the directory `path` (absolute, without symlinks), so that what is mounted on is what was checked.
 *
 * @throws CinderfsError `mountpoint_invalid` where another user could put something else in its place.
 */
export function holdMountpoint(path: string): HeldDirectory {
  try {
    return holdDirectory(path);
  } catch (error) {
    if (!(error instanceof Untrusted)) throw invalid(path, `cannot be opened: ${reasonOf(error)}`, error);
    throw unsafe(path, error.message);
  }
}

function unsafe(path: string, why: string): CinderfsError {
  return new CinderfsError('mountpoint_invalid', `the mount point ${path} is not safe: ${why}`, {
    path,
    remedy: 'Mount where only root owns and writes to the directories above, as in /images or /srv/images.',
  });
}

/** Whether there is a mount of ours that a process serves. Waits for an engine that is being started again. */
export async function isServed(directory: string): Promise<boolean> {
  const { mountpoint: path } = await nameOfMount(directory);
  const mount = await findMount(path);
  return mount !== undefined && isMountOfOurs(mount) && !(await isDead(path));
}

/** Takes away a mount of ours whose daemon died (ENOTCONN). False when there is none; never touches another. */
export async function healMountpoint(directory: string): Promise<boolean> {
  const path = await mountCalled(directory);
  const mount = await findMount(path);
  if (mount === undefined || !isMountOfOurs(mount) || !(await isDead(path))) return false;
  await unmount(path, { lazy: true });
  return true;
}

/**
 * Takes down the mount at `directory`. A busy one is `holders`, naming the processes that use it; `lazy` detaches it from the tree
 * and lets open files finish.
 */
export async function unmount(
  directory: string,
  { lazy = false }: { readonly lazy?: boolean } = {},
): Promise<void> {
  try {
    await runUmount(directory, lazy);
  } catch (error) {
    // Another process was faster: what is wanted is so already.
    if ((await findMount(directory)) === undefined) return;
    const holders = await findHolders(directory);
    const busy = holders.length > 0 || /busy/i.test(reasonOf(error));
    if (!busy)
      throw new CinderfsError('fuse_failed', `cannot unmount ${directory}: ${reasonOf(error)}`, {
        cause: error,
      });
    const who = holders.map(describeHolder).join('; ');
    throw new CinderfsError('holders', `${directory} is busy: ${who === '' ? 'holders not visible' : who}`, {
      path: directory,
    });
  }
}

/**
 * As root by umount(8); as a user by fusermount3, which is setuid. That one needs /etc/mtab, which a minimal system does
 * not have: there umount(8), setuid as well, takes down what this user mounted.
 */
async function runUmount(directory: string, lazy: boolean): Promise<void> {
  if (process.getuid?.() === 0) {
    await run('umount', [...(lazy ? ['-l'] : []), '--', directory]);
    return;
  }
  try {
    await run('fusermount3', ['-u', ...(lazy ? ['-z'] : []), '--', directory]);
  } catch (error) {
    if (!reasonOf(error).includes('mtab')) throw error;
    await run('umount', [...(lazy ? ['-l'] : []), '--', directory]);
  }
}

function run(program: string, args: readonly string[]): Promise<void> {
  return runSystemCommand({ program, args, timeoutMs: UMOUNT_TIMEOUT_MS });
}

/**
 * Whether the process that served a mount is gone for good (ENOTCONN). Waits a while for one that is being started again; one
 * that hangs is not gone.
 */
export async function isDead(path: string): Promise<boolean> {
  return (await stateOfMount(path)) === 'dead';
}

async function checkEmptyDirectory(path: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(path);
  } catch (error) {
    const why = { ENOTDIR: 'is not a directory', ENOENT: 'does not exist' }[codeOf(error) ?? ''];
    throw invalid(path, why ?? `cannot be read: ${reasonOf(error)}`, error);
  }
  if (names.length > 0) throw invalid(path, `is not empty (it holds ${names[0] ?? ''})`);
}

function invalid(path: string, why: string, cause?: unknown): CinderfsError {
  return new CinderfsError('mountpoint_invalid', `the mount point ${path} ${why}`, { path, cause });
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
