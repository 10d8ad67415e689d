import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { CinderfsError, reasonOf } from '../../errors.js';
import { startTimeOf } from '../processes.js';

/** Who owns a state directory. */
export interface Owner {
  readonly pid: number;
  readonly mountpoint: string;
  /** Clock ticks after boot at which the process started: a pid alone is reused. */
  readonly startTime: string;
}

const ASK_MS = 1_000;

/**
 * One daemon per state directory.
 *
 * The lock is an abstract unix socket named after the directory: the kernel gives it to one process and takes it back
 * when that dies, however it dies, so a stale lock cannot exist. Whoever connects is told the owner. Abstract names end
 * at a network namespace: the file owner.json stops a second daemon in a container that shares the directory.
 */
export class OwnerLock {
  readonly #server: Server;

  readonly #note: string;

  private constructor(server: Server, note: string) {
    this.#server = server;
    this.#note = note;
  }

  /** `owner_exists`, naming pid and mount point of the first, when the directory has an owner that lives. */
  static async take(directory: string, mountpoint: string): Promise<OwnerLock> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const me: Owner = { pid: process.pid, mountpoint, startTime: (await startTimeOf(process.pid)) ?? '' };
    const name = await socketName(directory);
    const server = createServer((asker) => {
      asker.on('error', () => asker.destroy());
      asker.end(JSON.stringify(me));
    });
    if (!(await listen(server, name)))
      throw ownerExists(directory, (await ask(name)) ?? (await noted(directory)));
    const before = await noted(directory);
    if (
      before !== undefined &&
      before.pid !== me.pid &&
      (await startTimeOf(before.pid)) === before.startTime
    ) {
      server.close();
      throw ownerExists(directory, before);
    }
    const note = join(directory, 'owner.json');
    await writeFile(note, `${JSON.stringify(me)}\n`, { mode: 0o600 });
    return new OwnerLock(server, note);
  }

  /**
   * Until then the lock also keeps the process alive: timers and watchers of this layer do not. The note goes first: the
   * process may live on, and whoever takes the directory then must not meet it.
   */
  async release(): Promise<void> {
    await rm(this.#note, { force: true });
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

/** The directory by what it is, not by what it is called: two paths to it are one lock. */
async function socketName(directory: string): Promise<string> {
  const { dev, ino } = await stat(directory, { bigint: true });
  return `\0cinderfs-${createHash('sha256').update(`${dev}:${ino}`).digest('hex').slice(0, 32)}`;
}

function listen(server: Server, name: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(false);
      else
        reject(
          new CinderfsError('journal_failed', `cannot lock the state directory: ${reasonOf(error)}`, {
            cause: error,
          }),
        );
    });
    server.listen(name, () => resolve(true));
  });
}

async function ask(name: string): Promise<Owner | undefined> {
  const socket = connect(name);
  socket.setTimeout(ASK_MS, () => socket.destroy());
  try {
    return JSON.parse(await text(socket)) as Owner;
  } catch {
    return undefined;
  }
}

async function noted(directory: string): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(join(directory, 'owner.json'), 'utf8')) as Owner;
  } catch {
    return undefined;
  }
}

function ownerExists(directory: string, owner: Owner | undefined): CinderfsError {
  const who =
    owner === undefined ? 'another process' : `process ${owner.pid}, mounted on ${owner.mountpoint},`;
  return new CinderfsError('owner_exists', `${who} owns the state directory ${directory}`, {
    path: directory,
  });
}
