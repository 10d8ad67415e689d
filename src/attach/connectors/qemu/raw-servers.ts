/** qemu-nbd processes that hand out bytes as they are: started, known again and ended. None of them reads a format. */
import { chown, type FileHandle, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { NbdSource } from '../../../sources/nbd/nbd-source.js';
import { type CellOptions, type CellServer, type CellServers } from './cell-server.js';
import { endServers, type NbdMark, serversOf, startServer } from './nbd-process.js';
import { type QemuBlock, SECRET_ID } from './qemu-block.js';

const PACKAGE = 'qemu-utils';

export class RawServers {
  readonly #options: CellOptions;
  readonly #cells: CellServers;

  /** `cells`: for those that need no right on this host. */
  constructor(options: CellOptions, cells: CellServers) {
    this.#options = options;
    this.#cells = cells;
  }

  /** Resolves with the pid of the process that exports `block` as `at`. `connector_failed`; end() removes what was made. */
  async start(block: QemuBlock, at: NbdSource, signal: AbortSignal): Promise<number> {
    const { secret, pid: readyFile, log } = filesOf(at.socket);
    const { clock, startMs: ms } = this.#options;
    if (block.rootless === true && process.getuid?.() === 0 && (await this.#cells.possible()))
      return this.#cells.start(cellServer(block, at), signal);
    let opened: FileHandle | undefined;
    try {
      if (block.secret !== undefined) await writeFile(secret, block.secret.value, { mode: 0o600 });
      const program = this.#program;
      const command = { program, args: argumentsFor(block, at), package: PACKAGE };
      opened = await block.open?.();
      return await startServer(
        { program, command, log, readyFile, inherits: opened?.fd },
        { clock, ms, signal },
      );
    } finally {
      await opened?.close();
      // QEMU read it while it opened the volume; nothing else needs it.
      await rm(secret, { force: true });
    }
  }

  /** The processes that export `socket`, in a cell or not; `pid` is the one that was started. */
  async processes(socket: string, pid?: string | number): Promise<readonly number[]> {
    const free = await serversOf(this.#markOf(socket), pid);
    return free.length > 0 ? free : this.#cells.processes(socket, pid);
  }

  /** The processes that export files below the first of the volume that readers have at `socket`. */
  lower(socket: string): Promise<readonly number[]> {
    return serversOf(this.#lowerMark(socket));
  }

  /** Ends what exports `socket` and removes what was made for it. Idempotent. */
  async end(socket: string, pid?: string | number): Promise<void> {
    await endServers(this.#markOf(socket), pid, this.#options.clock);
    await Promise.all(Object.values(filesOf(socket)).map((path) => rm(path, { force: true })));
  }

  /** Ends lower(), likewise. */
  async endLower(socket: string): Promise<void> {
    await endServers(this.#lowerMark(socket), undefined, this.#options.clock);
    const directory = dirname(socket);
    const names = await readdir(directory).catch(() => []);
    const ours = names.filter((name) => /^\.raw\d+(?:\.|$)/.test(afterStem(name, socket)));
    await Promise.all(ours.map((name) => rm(join(directory, name), { force: true })));
  }

  #markOf(socket: string): readonly NbdMark[] {
    return [{ program: this.#program, argument: `--socket=${socket}` }];
  }

  #lowerMark(socket: string): readonly NbdMark[] {
    return [{ program: this.#program, argument: lowerMarkOf(socket) }];
  }

  get #program(): string {
    return this.#options.program ?? 'qemu-nbd';
  }
}

/**
 * Where file `index` of the volume that readers have at `socket` is exported as it is: 0 is the one that Cinder names, those
 * below it count on.
 */
export function rawAt(socket: string, index = 0): NbdSource {
  const raw = index === 0 ? '.raw' : `.raw${index}`;
  return {
    kind: 'nbd',
    socket: socket.replace(/\.sock$/, raw),
    exportName: `raw-${basename(socket, '.sock')}`,
  };
}

/** How many there are is known to no record while the first of them starts: an argument that all have tells. */
function lowerMarkOf(socket: string): string {
  return `--description=below ${socket}`;
}

/** What the name of a file says after that of the volume; empty for another volume's. */
function afterStem(name: string, socket: string): string {
  const stem = basename(socket, '.sock');
  return name.startsWith(stem) ? name.slice(stem.length) : '';
}

function argumentsFor(block: QemuBlock, { socket, exportName }: NbdSource): readonly string[] {
  const { pid, secret } = filesOf(socket);
  const format = block.secret?.format ?? 'raw';
  const [, stem, index] = /^(.*)\.raw(\d*)$/.exec(socket) ?? [];
  return [
    '--read-only',
    '--persistent',
    // As many readers as there are; the default is 1.
    '--shared=0',
    `--socket=${socket}`,
    `--export-name=${exportName}`,
    `--pid-file=${pid}`,
    ...(stem === undefined || index === '' ? [] : [lowerMarkOf(`${stem}.sock`)]),
    ...(block.secret === undefined
      ? []
      : ['--object', `secret,id=${SECRET_ID},format=${format},file=${secret}`]),
    `json:${JSON.stringify(block.options)}`,
  ];
}

function cellServer({ options, secret }: QemuBlock, { socket, exportName }: NbdSource): CellServer {
  const furnish = async (directory: string, uid: number): Promise<readonly string[]> => {
    if (secret === undefined) return [];
    const file = join(directory, 'secret');
    await writeFile(file, secret.value, { mode: 0o600 });
    await chown(file, uid, uid);
    return ['secret'];
  };
  const what = (inside: string): readonly string[] => [
    ...(secret === undefined
      ? []
      : ['--object', `secret,id=${SECRET_ID},format=${secret.format},file=${inside}/secret`]),
    `json:${JSON.stringify(options)}`,
  ];
  return { socket, exportName, network: true, furnish, what };
}

type Files = Readonly<Record<'socket' | 'pid' | 'secret' | 'log', string>>;

function filesOf(socket: string): Files {
  const stem = socket.replace(/\.sock$/, '');
  return { socket, pid: `${stem}.pid`, secret: `${stem}.secret`, log: `${stem}.log` };
}
