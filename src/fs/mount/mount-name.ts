/** What a mount is called: one absolute path without symbolic links, whatever was typed. */
import { lstat, readlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { CinderfsError, reasonOf } from '../../errors.js';
import { isMountOfOurs } from './our-mounts.js';
import { readMountTable, type MountEntry } from '../../sys/mounts/mount-table.js';

export interface MountName {
  /** The path of the mount, or what would be one; of what was typed where no mount of ours is at it or above it. */
  readonly mountpoint: string;
  /** What of the path is inside the mount, '' for the mount itself. */
  readonly inside: string;
}

const MAX_LINKS = 40;

/**
 * The mount that is meant by `typed`: a mount point, or something in a mount. Never asks a mount of ours: one that is
 * dead, or that no process serves at the moment, has a name as well. So has a directory that does not exist any more.
 *
 * @throws CinderfsError `usage` for what cannot be a path.
 */
export async function nameOfMount(typed: string, table?: readonly MountEntry[]): Promise<MountName> {
  const mounts = new Map((table ?? (await readMountTable())).map((mount) => [mount.mountpoint, mount]));
  const path = await resolvePath(absolute(typed), mounts);
  for (let at = path; at !== '/'; at = dirname(at)) {
    const mount = mounts.get(at);
    if (mount !== undefined && isMountOfOurs(mount)) return { mountpoint: at, inside: relative(at, path) };
  }
  return { mountpoint: path, inside: '' };
}

/**
 * The same for a command that is about the mount itself.
 *
 * @throws CinderfsError `usage` for a path inside a mount.
 */
export async function mountCalled(typed: string): Promise<string> {
  const { mountpoint, inside } = await nameOfMount(typed);
  if (inside === '') return mountpoint;
  throw new CinderfsError('usage', `${typed} is inside the mount ${mountpoint}`, {
    remedy: `Name the mount: ${mountpoint}.`,
  });
}

/**
 * What was typed as an absolute path, symbolic links and all.
 *
 * @throws CinderfsError `usage` for what cannot be a path.
 */
export function absolute(typed: string): string {
  if (typed === '' || typed.includes('\0'))
    throw new CinderfsError('usage', 'that is not the name of a directory');
  if (typed.startsWith('/')) return typed;
  try {
    return `${process.cwd()}/${typed}`;
  } catch (cause) {
    throw new CinderfsError('usage', `the working directory cannot be told: ${reasonOf(cause)}`, {
      cause,
      remedy: 'Name the mount by its absolute path.',
    });
  }
}

/** As realpath(3), but a step that cannot be looked at stands for itself, and a mount point is never looked at. */
async function resolvePath(path: string, mounts: ReadonlyMap<string, MountEntry>): Promise<string> {
  const todo = path.split('/');
  let [at, links, inside] = ['/', 0, false];
  for (let name = todo.shift(); name !== undefined; name = todo.shift()) {
    if (name === '' || name === '.') continue;
    if (name === '..') {
      at = dirname(at);
      inside = isInside(at, mounts);
      continue;
    }
    at = join(at, name);
    inside ||= mounts.has(at) && isInside(at, mounts);
    const target = inside || mounts.has(at) ? undefined : await linkTarget(at);
    if (target === undefined) continue;
    links += 1;
    if (links > MAX_LINKS) throw new CinderfsError('usage', `${path} has too many symbolic links`);
    at = target.startsWith('/') ? '/' : dirname(at);
    todo.unshift(...target.split('/'));
  }
  return at;
}

/** Whether `path` is at or below a mount of ours. */
function isInside(path: string, mounts: ReadonlyMap<string, MountEntry>): boolean {
  for (let at = path; at !== '/'; at = dirname(at)) {
    const mount = mounts.get(at);
    if (mount !== undefined) return isMountOfOurs(mount);
  }
  return false;
}

/** Undefined for what is no symbolic link, or cannot be looked at: dead, gone, forbidden. */
async function linkTarget(path: string): Promise<string | undefined> {
  try {
    return (await lstat(path)).isSymbolicLink() ? await readlink(path) : undefined;
  } catch {
    return undefined;
  }
}
