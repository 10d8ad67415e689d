/**
 * Decodes a volume or an image: a raw export in, an export of what a guest would see out. The process that reads the
 * format can open nothing but the raw export (confinement.ts), and its header was judged before (qcow2-header.ts).
 */
import { chmod, chown, link, lstat, mkdir, rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../async/clock.js';
import { withDeadline } from '../../async/deadline.js';
import { CinderfsError, reasonOf } from '../../errors.js';
import type { Log } from '../../log.js';
import type { NbdSource } from '../source.js';
import { type Cell, Confinement } from './confinement.js';
import type { NbdClient } from './nbd-client.js';
import { endServers, type NbdMark, serversOf, startServer } from './nbd-process.js';
import { HEAD_BYTES, judgeQcow2 } from './qcow2-header.js';

export interface DecoderOptions {
  readonly clock: Clock;
  readonly startMs: number;
  readonly log: Log;
  /** For tests; `qemu-nbd` otherwise. */
  readonly program?: string | undefined;
}

/** What is decoded, and where to. */
export interface Decoding {
  /** An export of the undecoded bytes, on a socket next to `socket`. */
  readonly raw: NbdSource;
  /** Reads that export, too. */
  readonly client: NbdClient;
  /** Of the export to be made, in a directory of this process alone. */
  readonly socket: string;
  readonly exportName: string;
}

const PACKAGE = 'qemu-utils';

export class Decoder {
  readonly #options: DecoderOptions;
  readonly #confinement: Confinement;

  constructor(options: DecoderOptions) {
    this.#options = options;
    this.#confinement = new Confinement(options.log);
  }

  /**
   * Serves the qcow2 in `raw` at `socket`; resolves with the pid of the process that does. Rejects with `volume_unsafe`
   * where the header leads out of the file, else with `connector_failed`; end() removes what was made.
   */
  async start(decoding: Decoding, signal: AbortSignal): Promise<number> {
    const { raw, client, socket } = decoding;
    const { clock, startMs: ms } = this.#options;
    const head = client.read(0, Math.min(HEAD_BYTES, client.size));
    const onTimeout = (): CinderfsError =>
      new CinderfsError('connector_failed', 'the volume does not answer in time: its header cannot be read');
    judgeQcow2(await withDeadline(head, { clock, ms, signal, onTimeout }));
    const files = filesOf(socket);
    const cell = await cellFor(socket, raw.socket);
    const args = (inside: string): readonly string[] => argumentsFor(decoding, inside);
    const command = await this.#confinement.confined(
      { program: this.#program, args, package: PACKAGE },
      cell,
    );
    const started = { command, log: files.log, readyFile: join(files.inside, 'pid') };
    const pid = await startServer(started, { clock, ms, signal });
    await close(socket);
    return pid;
  }

  /** The processes that decode to `socket`; `pid` is the one that was started. */
  processes(socket: string, pid?: string | number): Promise<readonly number[]> {
    return serversOf(this.#markOf(socket), pid);
  }

  /** Ends what decodes to `socket` and removes what was made for it. Idempotent. */
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
  return { cell, root: join(cell, 'root'), inside: join(cell, 'inside'), log: `${stem}.decoder.log` };
}

/** By this argument the process is known again: it has no path of this host in its others. */
function markOf(socket: string): string {
  return `--description=${socket}`;
}

function argumentsFor({ raw, socket, exportName }: Decoding, inside: string): readonly string[] {
  const server = { type: 'unix', path: `${inside}/raw` };
  const file = { driver: 'nbd', 'read-only': true, export: raw.exportName, server };
  const node = { driver: 'qcow2', 'read-only': true, backing: null, file };
  return [
    '--read-only',
    '--persistent',
    '--shared=0',
    `--socket=${inside}/out`,
    `--export-name=${exportName}`,
    markOf(socket),
    `--pid-file=${inside}/pid`,
    `json:${JSON.stringify(node)}`,
  ];
}

/** A directory of the process's own in one of ours, and in it the way to the raw export. */
async function cellFor(socket: string, raw: string): Promise<Cell> {
  const { cell, root, inside } = filesOf(socket);
  const uid = Confinement.uidFor(socket);
  // Others may pass, where the kernel gives the process no file system of its own.
  await mkdir(cell, { mode: 0o711 });
  for (const path of [root, inside]) await mkdir(path, { mode: 0o700 });
  const way = join(inside, 'raw');
  await link(raw, way);
  for (const path of [inside, way]) await chown(path, uid, uid);
  return { root, directory: inside, uid };
}

/**
 * Takes its directory away from a process that listens: the socket out of it, and then all of it. What it was not asked to
 * make is a reason not to trust it.
 */
async function close(socket: string): Promise<void> {
  const { cell, root, inside } = filesOf(socket);
  try {
    const { uid, gid } = await lstat(cell);
    await chown(inside, uid, gid);
    await chmod(inside, 0o700);
    await rename(join(inside, 'out'), socket);
    if (!(await lstat(socket)).isSocket()) throw new Error('its socket is none');
    for (const name of ['raw', 'pid']) await rm(join(inside, name), { force: true });
    for (const path of [inside, root, cell]) await rmdir(path);
  } catch (cause) {
    throw new CinderfsError('connector_failed', `cannot take over from the decoder: ${reasonOf(cause)}`, {
      cause,
    });
  }
}
