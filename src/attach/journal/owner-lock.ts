import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { keepProcessAlive } from '../../async/keep-process-alive.js';
import { sleep, systemClock } from '../../async/clock.js';
import { CinderfsError, reasonOf } from '../../errors.js';
import { printableLine } from '../../printable.js';
import { lockFile, unlockFile } from '../../sys/files/file-lock.js';
import { keepDirectory, unusable } from '../../sys/files/kept-directory.js';
import { removeKept, replaceKept } from '../../sys/files/kept-file.js';
import { nameProcess } from '../../sys/processes/process-name.js';
import { olderOwner } from './older-owner.js';
import { readOwner, type Owner } from './owner.js';

const LOCK = 'lock';
const NOTE = 'owner.json';

/** A process that was killed a moment ago, or a child that it was just starting, may hold the lock for as long. */
const PATIENCE_MS = 500;
const LOOK_MS = 20;

/**
 * One daemon per state directory: it holds a lock on a file in it. The directory is ours alone, so no other user can reach
 * that file, and the kernel releases the lock when the process ends, however it ends. The lock holds between containers
 * that share the directory.
 */
export class OwnerLock {
  readonly #fd: number;
  readonly #note: string;
  /** Timers and watchers of this layer keep no process alive; that it owns something does. */
  readonly #alive = setInterval(() => undefined, 2 ** 30);

  private constructor(fd: number, note: string) {
    this.#fd = fd;
    this.#note = note;
  }

  /**
   * `owner_exists`, naming pid and mount point of the first, when the directory has an owner that lives;
   * `path_unusable` when the directory cannot be used.
   */
  static async take(directory: string, mountpoint: string): Promise<OwnerLock> {
    keepDirectory({ setting: 'state_dir', path: directory, mode: 0o700 });
    const note = join(directory, NOTE);
    return usable(directory, async () => {
      const fd = openLock(join(directory, LOCK));
      try {
        if (!(await keepProcessAlive(() => locked(fd)))) throw ownerExists(directory, readOwner(note));
        const older = olderOwner(directory, readOwner(note));
        if (older !== undefined) throw ownerExists(directory, older);
        const startTime = nameProcess(process.pid)?.started ?? '';
        const me: Owner = { pid: process.pid, mountpoint, startTime };
        await replaceKept(note, `${JSON.stringify(me)}\n`);
        return new OwnerLock(fd, note);
      } catch (error) {
        unlockFile(fd);
        closeSync(fd);
        throw error;
      }
    });
  }

  /** Whether the directory takes what is written to it; throws why not. */
  async check(): Promise<void> {
    const text = JSON.stringify(readOwner(this.#note) ?? {});
    await replaceKept(this.#note, `${text}\n`);
  }

  /**
   * The note goes first: the process may live on, and the next owner of the directory must not meet it. Throws when it
   * stays; the lock is given up all the same.
   */
  async release(): Promise<void> {
    try {
      await removeKept(this.#note);
    } finally {
      clearInterval(this.#alive);
      unlockFile(this.#fd);
      closeSync(this.#fd);
    }
  }
}

/** What has the name and is no file that only we can open is not locked: another user may hold it. */
function openLock(path: string): number {
  const { O_RDWR, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
  const fd = openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
  const { uid, mode, nlink } = fstatSync(fd);
  const regular = (mode & constants.S_IFMT) === constants.S_IFREG && nlink === 1;
  if (regular && uid === process.geteuid?.() && (mode & 0o077) === 0) return fd;
  closeSync(fd);
  throw new Error(`${path} is not a regular file that only this user can open; remove it`);
}

async function locked(fd: number): Promise<boolean> {
  const until = systemClock.now() + PATIENCE_MS;
  for (;;) {
    if (lockFile(fd)) return true;
    if (systemClock.now() >= until) return false;
    await sleep(systemClock, LOOK_MS);
  }
}

function ownerExists(directory: string, owner: Partial<Owner> | undefined): CinderfsError {
  const process = owner?.pid === undefined ? 'another process' : `process ${owner.pid}`;
  const mounted = owner?.mountpoint === undefined ? '' : `, mounted on ${printableLine(owner.mountpoint)},`;
  return new CinderfsError('owner_exists', `${process}${mounted} owns the state directory ${directory}`, {
    path: directory,
  });
}

async function usable<T>(directory: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (CinderfsError.is(cause)) throw cause;
    throw unusable('state_dir', directory, `cannot be used: ${reasonOf(cause)}`, { cause });
  }
}
