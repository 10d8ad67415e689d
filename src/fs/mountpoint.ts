/** The mount point: is it fit, healing one that a dead daemon left, and taking a mount down. Shared by the transports. */
import { execFile } from 'node:child_process';
import { readdir, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { awake } from '../async/awake.js';
import { sleep, systemClock } from '../async/clock.js';
import { withDeadline } from '../async/deadline.js';
import { CinderfsError, reasonOf } from '../errors.js';
import type { Log } from '../log.js';
import { childEnvironment } from '../sys/child-environment.js';
import { describeHolder, findHolders } from './holders.js';
import { probeMount } from './mount-probe.js';
import { findMount } from './mount-table.js';

const run = promisify(execFile);

/** Milliseconds for one umount(8) or fusermount: it only talks to the kernel, and to us. */
const UMOUNT_TIMEOUT_MS = 30_000;

/** Milliseconds for a mount to say whether anything serves it. */
const DEAD_MS = 3_000;

/** The file system type of our mounts, as the mount table shows it. */
export const MOUNT_TYPE = 'fuse.cinderfs';

/**
 * Checks that `directory` can be mounted on and returns it as an absolute path without symlinks. A mount of ours
 * whose daemon died (ENOTCONN) is taken away first (F8). `mountpoint_invalid` or `mountpoint_busy` otherwise.
 */
export async function prepareMountpoint(directory: string, log: Log): Promise<string> {
  const path = await absolutePath(directory);
  if (await healMountpoint(path)) log.warn({ path }, 'took away a mount whose daemon had died');
  const mount = await findMount(path);
  if (mount !== undefined) {
    throw new CinderfsError('mountpoint_busy', `${path} is a mount point already (${mount.type})`, { path });
  }
  await checkEmptyDirectory(path);
  return path;
}

/** Whether there is a mount of ours that somebody serves. Waits for an engine that is being started again. */
export async function isServed(directory: string): Promise<boolean> {
  const path = await absolutePath(directory);
  return (await findMount(path))?.type === MOUNT_TYPE && !(await isDead(path));
}

/** Takes away a mount of ours whose daemon died (ENOTCONN). False when there is none; never touches another. */
export async function healMountpoint(directory: string): Promise<boolean> {
  const path = await absolutePath(directory);
  const mount = await findMount(path);
  if (mount?.type !== MOUNT_TYPE || !(await isDead(path))) return false;
  await unmount(path, { lazy: true });
  return true;
}

/**
 * Takes down the mount at `directory`. A busy one is `holders`, naming who holds it; `lazy` detaches it from the tree
 * and lets those who hold it finish.
 */
export async function unmount(
  directory: string,
  { lazy = false }: { readonly lazy?: boolean } = {},
): Promise<void> {
  try {
    await runUmount(directory, lazy);
  } catch (error) {
    // Somebody else was faster: what is wanted is so already.
    if ((await findMount(directory)) === undefined) return;
    const holders = await findHolders(directory);
    const busy = holders.length > 0 || /busy/i.test(stderrOf(error));
    if (!busy)
      throw new CinderfsError('fuse_failed', `cannot unmount ${directory}: ${stderrOf(error)}`, {
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
    await toTheEnd('umount', [...(lazy ? ['-l'] : []), '--', directory]);
    return;
  }
  try {
    await toTheEnd('fusermount3', ['-u', ...(lazy ? ['-z'] : []), '--', directory]);
  } catch (error) {
    if (!stderrOf(error).includes('mtab')) throw error;
    await toTheEnd('umount', [...(lazy ? ['-l'] : []), '--', directory]);
  }
}

/** A process that waits for a file system in the kernel does not end of a signal: it is not waited for. */
async function toTheEnd(command: string, args: readonly string[]): Promise<void> {
  const options = { timeout: UMOUNT_TIMEOUT_MS, killSignal: 'SIGKILL', env: childEnvironment() } as const;
  await withDeadline(run(command, args, options), {
    clock: systemClock,
    ms: UMOUNT_TIMEOUT_MS + 1_000,
    onTimeout: () => new CinderfsError('fuse_failed', `${command} ${args.join(' ')} does not end`),
  });
}

function stderrOf(error: unknown): string {
  const { stderr } = error as { stderr?: string };
  return stderr === undefined || stderr.trim() === '' ? reasonOf(error) : stderr.trim();
}

/** Absolute and without symlinks. A dead mount cannot be resolved itself (ENOTCONN): its parent can. */
async function absolutePath(directory: string): Promise<string> {
  const path = resolve(directory);
  try {
    return await realpath(path);
  } catch (error) {
    if (codeOf(error) === 'ENOTCONN') return join(await realpath(dirname(path)), basename(path));
    throw invalid(path, codeOf(error) === 'ENOENT' ? 'does not exist' : reasonOf(error), error);
  }
}

/**
 * Whether whoever served a mount is gone for good (ENOTCONN). Waits a while for one that is being started again; one
 * that hangs is not gone.
 */
export async function isDead(path: string): Promise<boolean> {
  // Not stat: the kernel may answer that from what it has cached, also for the dead.
  const probe = probeMount(path);
  const over = new AbortController();
  const late = sleep(systemClock, DEAD_MS, over.signal).catch(() => undefined);
  const complaint = await awake(() => Promise.race([probe.complaint, late]));
  over.abort();
  probe.abandon();
  // The second: it died while it was asked.
  return /endpoint is not connected|caused connection abort/.test(complaint ?? '');
}

async function checkEmptyDirectory(path: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(path);
  } catch (error) {
    throw invalid(path, codeOf(error) === 'ENOTDIR' ? 'is not a directory' : reasonOf(error), error);
  }
  if (names.length > 0) throw invalid(path, `is not empty (it holds ${names[0] ?? ''})`);
}

function invalid(path: string, why: string, cause?: unknown): CinderfsError {
  return new CinderfsError('mountpoint_invalid', `the mount point ${path} ${why}`, { path, cause });
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
