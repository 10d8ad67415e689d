/** A qemu-nbd in a cell of its own (confinement.ts): made, waited for, known again and ended. */
import { chmod, chown, lstat, mkdir, rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../../async/clock.js';
import { CinderfsError, reasonOf } from '../../../errors.js';
import type { Log } from '../../../log.js';
import { type Cell, Confinement } from './confinement.js';
import { endServers, type NbdMark, serversOf, startServer } from './nbd-process.js';

export interface CellOptions {
  readonly clock: Clock;
  readonly startMs: number;
  readonly log: Log;
  /** For tests; `qemu-nbd` otherwise. */
  readonly program?: string | undefined;
}

export interface CellServer {
  /** Where its export will be, in a directory of this process alone. */
  readonly socket: string;
  readonly exportName: string;
  /** It reaches its source over the network. */
  readonly network: boolean;
  /** Puts what it needs into its directory, for user `uid`; answers with the names of what it put there. */
  readonly furnish: (directory: string, uid: number) => Promise<readonly string[]>;
  /** What it serves, in QEMU's words; `inside` is that directory as it sees it. */
  readonly what: (inside: string) => readonly string[];
}

const PACKAGE = 'qemu-utils';

export class CellServers {
  readonly #options: CellOptions;
  readonly #confinement: Confinement;

  constructor(options: CellOptions) {
    this.#options = options;
    this.#confinement = new Confinement(options.log);
  }

  /** Whether this host allows cells. */
  possible(): Promise<boolean> {
    return this.#confinement.possible({ program: this.#program, package: PACKAGE });
  }

  /** Resolves with its pid when it listens. Rejects with `connector_failed`; end() removes what was made. */
  async start(server: CellServer, signal: AbortSignal): Promise<number> {
    const { socket, network } = server;
    const { clock, startMs: ms } = this.#options;
    const { cell: own, log, inside } = filesOf(socket);
    // Of a start that a crash cut short.
    if (await lstat(own).catch(() => undefined)) await this.end(socket);
    const cell = { ...(await cellFor(socket)), network };
    const things = await server.furnish(inside, cell.uid);
    await chown(inside, cell.uid, cell.uid);
    const args = (directory: string): readonly string[] => argumentsFor(server, directory);
    const command = await this.#confinement.confined(
      { program: this.#program, args, package: PACKAGE },
      cell,
    );
    const pid = await startServer({ command, log, readyFile: join(inside, 'pid') }, { clock, ms, signal });
    await close(socket, things);
    return pid;
  }

  /** The processes that serve `socket`; `pid` is the one that was started. */
  processes(socket: string, pid?: string | number): Promise<readonly number[]> {
    return serversOf(this.#markOf(socket), pid);
  }

  /** Ends what serves `socket` and removes what was made for it. Idempotent. */
  async end(socket: string, pid?: string | number): Promise<void> {
    await endServers(this.#markOf(socket), pid, this.#options.clock);
    const { cell, log } = filesOf(socket);
    // Nothing lives that could swap a directory under this.
    for (const path of [cell, log, socket]) await rm(path, { recursive: true, force: true });
  }

  #markOf(socket: string): NbdMark {
    return { program: this.#program, argument: markOf(socket), uid: Confinement.uidFor(socket) };
  }

  get #program(): string {
    return this.#options.program ?? 'qemu-nbd';
  }
}

/** `cell` is ours, and holds what becomes the root, and what belongs to the process. */
function filesOf(socket: string): Readonly<Record<'cell' | 'root' | 'inside' | 'log', string>> {
  const stem = socket.replace(/\.sock$/, '');
  const cell = `${stem}.cell`;
  return { cell, root: join(cell, 'root'), inside: join(cell, 'inside'), log: `${stem}.cell.log` };
}

/** By this argument the process is known again: it has no path of this host in its others. */
function markOf(socket: string): string {
  return `--description=${socket}`;
}

function argumentsFor({ socket, exportName, what }: CellServer, inside: string): readonly string[] {
  return [
    '--read-only',
    '--persistent',
    '--shared=0',
    `--socket=${inside}/out`,
    `--export-name=${exportName}`,
    markOf(socket),
    `--pid-file=${inside}/pid`,
    ...what(inside),
  ];
}

/** A directory for the process in one of ours; it becomes its own when it is furnished. */
async function cellFor(socket: string): Promise<Omit<Cell, 'network'>> {
  const { cell, root, inside } = filesOf(socket);
  // Others may pass, where the kernel gives the process no file system of its own.
  await mkdir(cell, { mode: 0o711 });
  for (const path of [root, inside]) await mkdir(path, { mode: 0o700 });
  return { root, directory: inside, uid: Confinement.uidFor(socket) };
}

/**
 * Takes its directory away from a process that listens: the socket out of it, and then all of it. What it was not asked to
 * make is a reason not to trust it.
 */
async function close(socket: string, things: readonly string[]): Promise<void> {
  const { cell, root, inside } = filesOf(socket);
  try {
    const { uid, gid } = await lstat(cell);
    await chown(inside, uid, gid);
    await chmod(inside, 0o700);
    await rename(join(inside, 'out'), socket);
    if (!(await lstat(socket)).isSocket()) throw new Error('its socket is none');
    for (const name of [...things, 'pid']) await rm(join(inside, name), { force: true });
    for (const path of [inside, root, cell]) await rmdir(path);
  } catch (cause) {
    throw new CinderfsError('connector_failed', `cannot take over from qemu-nbd: ${reasonOf(cause)}`, {
      cause,
    });
  }
}
