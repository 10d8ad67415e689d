/** Whether another user of this host could change where a path leads. */
import { closeSync, constants, fstatSync, lstatSync, openSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';

/** open(2): the directory itself, to be named by /proc/self/fd; it need not be readable. Not among Node's constants. */
const O_PATH = 0o10000000;
const DIRECTORY = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const STICKY = 0o1000;
const MAX_LINKS = 40;

export interface Trust {
  /** Whether a group other than root's may write to directories on the way, as syslog's may to /var/log. */
  readonly groups?: boolean;
  /** Whether `path` itself, where it is a directory, must be ours as well; default true. */
  readonly itself?: boolean;
  /** Mount points: where `path` is one of them it is not looked at, since its file system may not answer. */
  readonly mounts?: ReadonlySet<string>;
}

/**
 * Why `path`, which is absolute, is not ours alone to change; undefined where it is, also where it does not exist yet.
 * The last step may belong to any user, unless it is a directory.
 */
export function distrust(path: string, trust: Trust = {}): string | undefined {
  let [at, links] = ['/', 0];
  const todo = partsOf(path);
  for (let name = todo.shift(); name !== undefined; name = todo.shift()) {
    if (name === '..') {
      at = dirname(at);
      continue;
    }
    const parent = lstatSync(at);
    const next = join(at, name);
    const found = isUnseen(next, todo, trust) ? undefined : look(next);
    const why = distrustOf(at, parent, found === undefined ? undefined : { path: next, found }, trust);
    if (why !== undefined || found === undefined) return why;
    if (found.isSymbolicLink()) {
      links += 1;
      if (links > MAX_LINKS) return `${path} has too many symbolic links`;
      const target = readlinkSync(next);
      if (target.startsWith('/')) at = '/';
      todo.unshift(...partsOf(target));
    } else at = next;
  }
  const last = trust.itself === false ? undefined : lstatSync(at);
  return last?.isDirectory() === true ? distrustOf(at, last, undefined, trust) : undefined;
}

/** A directory that is held, so that it is the same one whatever becomes of its name. */
export interface HeldDirectory {
  readonly fd: number;
  close(): void;
}

/** Another user could replace the directory that was asked for. */
export class Untrusted extends Error {}

/**
 * Opens the directory `path` (absolute, without symbolic links), one step after the other and through no link. Throws
 * Untrusted where another user could swap a step, and whatever open(2) says.
 */
export function holdDirectory(path: string): HeldDirectory {
  let at = '/';
  let fd = openSync(at, DIRECTORY);
  try {
    for (const name of partsOf(path)) {
      const parent = fstatSync(fd);
      const next = openSync(`/proc/self/fd/${fd}/${name}`, DIRECTORY);
      closeSync(fd);
      fd = next;
      const why = distrustOf(at, parent, { path: join(at, name), found: fstatSync(fd) }, {});
      if (why !== undefined) throw new Untrusted(why);
      at = join(at, name);
    }
    return { fd, close: () => closeSync(fd) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function isUnseen(path: string, after: readonly string[], { mounts }: Trust): boolean {
  return after.length === 0 && mounts?.has(path) === true;
}

/** Undefined for what is not there, or cannot be looked at: a dead mount, which no user can swap. */
function look(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    return undefined;
  }
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

/** A user that may write to a directory may replace `entry`; in a sticky one only if it is theirs. */
function distrustOf(
  directory: string,
  { uid, gid, mode }: Stats,
  entry: { readonly path: string; readonly found: Stats } | undefined,
  { groups = false }: Trust,
): string | undefined {
  if (!isOurs(uid)) return `${directory} belongs to user ${uid}`;
  const byGroup = (mode & 0o020) !== 0 && gid !== 0 && !groups;
  if (!byGroup && (mode & 0o002) === 0) return undefined;
  if ((mode & STICKY) === 0)
    return `${byGroup ? `group ${gid}` : 'every user'} can write to the directory ${directory}`;
  if (entry === undefined || isOurs(entry.found.uid)) return undefined;
  return `${entry.path} belongs to user ${entry.found.uid}, and every user can write to ${directory}`;
}

function isOurs(uid: number): boolean {
  return uid === 0 || uid === process.geteuid?.();
}
