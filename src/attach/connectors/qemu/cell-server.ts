/** A server of QEMU in a cell of its own (confinement.ts): made, waited for, known again and ended. */
import { constants } from 'node:fs';
import { chmod, chown, lstat, mkdir, open, rename, rm, rmdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Clock } from '../../../async/clock.js';
import { CinderfsError, reasonOf } from '../../../errors.js';
import type { Log } from '../../../log.js';
import { type Cell, Confinement } from './confinement.js';
import { ServerLink } from './server-link.js';
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
  /** `what` names several nodes, the one to be exported as STORAGE_NODE: qemu-nbd knows one. */
  readonly nodes?: true | undefined;
}

const PACKAGE = 'qemu-utils';
/** Several nodes: QEMU lets none name the file below it unless that is a node of its own. */
export const STORAGE = {
  program: 'qemu-storage-daemon',
  args: [],
  package: 'qemu-system-common (Debian 13: qemu-utils)',
};
export const STORAGE_NODE = 'volume';

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
    const args = (directory: string): readonly string[] =>
      server.nodes === true ? storageArguments(server, directory) : argumentsFor(server, directory);
    const program = server.nodes === true ? STORAGE : { program: this.#program, package: PACKAGE };
    const command = await this.#confinement.confined({ ...program, args }, cell);
    const started = { ...program, command, log, readyFile: join(inside, 'pid') };
    const pid = await startServer(started, { clock, ms, signal });
    if (server.nodes === true) await this.#greet(inside, server.exportName);
    await close(socket, things, program.program);
    return pid;
  }

  /** qemu-storage-daemon has not finished with its pid file when it has written it; when it answers it has. */
  async #greet(inside: string, exportName: string): Promise<void> {
    const { clock, startMs: ms } = this.#options;
    // The path of a socket is short; that of the directory need not be.
    const directory = await open(inside, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      const socket = `/proc/self/fd/${directory.fd}/out`;
      (await ServerLink.open({ kind: 'nbd', socket, exportName }, { clock, ms })).close();
    } finally {
      await directory.close();
    }
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

  #markOf(socket: string): readonly NbdMark[] {
    const uid = Confinement.uidFor(socket);
    return [
      { program: this.#program, argument: markOf(socket), uid },
      { program: STORAGE.program, argument: storageExport(socket), uid },
    ];
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

/** The export is called after the socket: this argument is its mark as well. */
function storageExport(socket: string): string {
  const name = basename(socket, '.sock');
  const node = { id: 'out', 'node-name': STORAGE_NODE, writable: false };
  return `--export=${JSON.stringify({ type: 'nbd', ...node, name, description: socket })}`;
}

function storageArguments({ socket, what }: CellServer, inside: string): readonly string[] {
  return [
    ...what(inside),
    `--nbd-server=addr.type=unix,addr.path=${inside}/out,max-connections=0`,
    storageExport(socket),
    `--pidfile=${inside}/pid`,
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
async function close(socket: string, things: readonly string[], program: string): Promise<void> {
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
    const message = `cannot take over from ${basename(program)}: ${reasonOf(cause)}`;
    throw new CinderfsError('connector_failed', message, { cause });
  }
}
