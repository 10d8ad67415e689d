import { chown, type FileHandle, mkdir, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Clock } from '../../../async/clock.js';
import { CinderfsError } from '../../../errors.js';
import type { ConnectionInfo } from '../../../cinder/contract/attachments.js';
import { type Log, silentLog } from '../../../log.js';
import type { Connected, Connector, ConnectRequest } from '../../connection/connector.js';
import type { HostRecord } from '../../journal/record.js';
import { lookUp } from '../../../sys/processes/run-command.js';
import type { NbdSource } from '../../../sources/nbd/nbd-source.js';
import { formatOf } from '../../connection/volume-format.js';
import { type CellServer, CellServers } from './cell-server.js';
import { Decoder } from './decoder.js';
import { endServers, type NbdMark, serversOf, startServer } from './nbd-process.js';
import { type QemuBlock, qemuBlocks, type QemuHost, qemuSpeaks, SECRET_ID } from './qemu-block.js';
import { ServerLink } from './server-link.js';

export interface QemuOptions extends QemuHost {
  /** Holds sockets, pid files, logs and, while a server starts, secrets; on a tmpfs, for this mount alone. */
  readonly directory: string;
  readonly clock: Clock;
  readonly startMs: number;
  readonly log?: Log | undefined;
  /** For tests; `qemu-nbd` otherwise. */
  readonly program?: string | undefined;
  /** For tests, which have files instead of a backend; qemuBlocks() otherwise. */
  readonly blocks?: ((info: ConnectionInfo) => Promise<readonly QemuBlock[]>) | undefined;
}

const PACKAGE = 'qemu-utils';
/** A server on this host answers at once; one that is stopped never does. */
const HELLO_MS = 10_000;

/** Our own connections to the servers of a volume: they prove, and notice the end of each server. */
interface Links {
  readonly clients: readonly ServerLink[];
  readonly lost: AbortController;
}

/**
 * One read-only qemu-nbd per volume, on a unix socket, with QEMU's own drivers in user space: no kernel initiator, no
 * root, nothing on the host that somebody else could take away. It hands out the bytes as they are; those of a volume in
 * a format go on through a second process, that has no rights (decoder.ts).
 *
 * The servers outlive a daemon that is killed; they are found again by an argument that is named after the volume. So no
 * pid is ever killed that does not prove to be ours.
 */
export class QemuConnector implements Connector {
  readonly name = 'qemu';
  readonly #options: QemuOptions;
  readonly #cells: CellServers;
  readonly #decoder: Decoder;
  /** By the socket that readers use. */
  readonly #links = new Map<string, Links>();

  constructor(options: QemuOptions) {
    this.#options = options;
    const inCells = { ...options, log: options.log ?? silentLog };
    this.#cells = new CellServers(inCells);
    this.#decoder = new Decoder(inCells, this.#cells);
  }

  async refusal(info: ConnectionInfo): Promise<CinderfsError | undefined> {
    if (!qemuSpeaks(info.driver_volume_type))
      return new CinderfsError(
        'protocol_unsupported',
        `the qemu connector does not speak ${info.driver_volume_type}`,
      );
    try {
      formatOf(info);
      await lookUp({ program: this.#program, args: [], package: PACKAGE });
      return undefined;
    } catch (error) {
      return CinderfsError.from(error, 'connector_missing');
    }
  }

  plan({ volumeId }: Pick<ConnectRequest, 'volumeId'>): HostRecord {
    return { socket: join(this.#options.directory, `${volumeId}.sock`) };
  }

  async connect({ info, signal }: ConnectRequest, plan: HostRecord): Promise<Connected> {
    const socket = socketOf(plan);
    const decoded = formatOf(info) !== 'raw';
    await mkdir(this.#options.directory, { recursive: true, mode: 0o700 });
    const failures: unknown[] = [];
    const blocks = this.#options.blocks?.(info) ?? qemuBlocks(info, this.#options);
    for (const block of await blocks) {
      signal.throwIfAborted();
      try {
        return await (decoded
          ? this.#decode(block, socket, signal)
          : this.#reach({ socket, pid: await this.#serve(block, socket, exportOf(socket), signal) }));
      } catch (error) {
        failures.push(error);
        await this.disconnect(plan);
      }
    }
    throw CinderfsError.from(failures[0], 'connector_failed');
  }

  async adopt(host: HostRecord): Promise<Connected | undefined> {
    const socket = socketOf(host);
    const { decoder } = host;
    const [raw] = await this.#servers(decoder === undefined ? socket : rawOf(socket), host.pid);
    const [last] = decoder === undefined ? [raw] : await this.#decoder.processes(socket, decoder);
    return raw === undefined || last === undefined ? undefined : this.#reach(host);
  }

  /** The decoder first: it reads the other. Each step is tried whatever became of the others. */
  async disconnect(host: HostRecord): Promise<void> {
    const socket = socketOf(host);
    const links = this.#links.get(socket);
    this.#links.delete(socket);
    for (const client of links?.clients ?? []) client.close();
    const results = await Promise.allSettled([
      this.#decoder.end(socket, host.decoder),
      this.#end(rawOf(socket), host.pid),
      this.#end(socket, host.pid),
    ]);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw CinderfsError.from(failed.reason, 'connector_failed');
  }

  async abandoned(host: HostRecord): Promise<boolean> {
    const socket = socketOf(host);
    const found = await Promise.all([socket, rawOf(socket)].map((each) => this.#servers(each, host.pid)));
    return found.flat().length === 0;
  }

  async endStray(volumeId: string): Promise<void> {
    await this.disconnect(this.plan({ volumeId }));
  }

  get #program(): string {
    return this.#options.program ?? 'qemu-nbd';
  }

  /** The volume as it is on a socket of its own, and what is in it on `socket`. */
  async #decode(block: QemuBlock, socket: string, signal: AbortSignal): Promise<Connected> {
    const raw = rawAt(socket);
    const pid = await this.#serve(block, raw.socket, raw.exportName, signal);
    const client = await this.#hello(raw);
    try {
      const decoding = { raw, client, socket, exportName: exportOf(socket) };
      const decoder = await this.#decoder.start(decoding, signal);
      return await this.#reach({ socket, pid, decoder });
    } finally {
      client.close();
    }
  }

  /** Starts a server of the undecoded volume. */
  async #serve(block: QemuBlock, socket: string, exportName: string, signal: AbortSignal): Promise<number> {
    const { secret, pid: readyFile, log } = filesOf(socket);
    const { clock, startMs: ms } = this.#options;
    if (block.rootless === true && process.getuid?.() === 0 && (await this.#cells.possible()))
      return this.#cells.start(cellServer(block, socket, exportName), signal);
    let opened: FileHandle | undefined;
    try {
      if (block.secret !== undefined) await writeFile(secret, block.secret.value, { mode: 0o600 });
      const args = argumentsFor(block, socket, exportName);
      const command = { program: this.#program, args, package: PACKAGE };
      opened = await block.open?.();
      return await startServer({ command, log, readyFile, inherits: opened?.fd }, { clock, ms, signal });
    } finally {
      await opened?.close();
      // QEMU read it while it opened the volume; nothing else needs it.
      await rm(secret, { force: true });
    }
  }

  async #reach(host: HostRecord): Promise<Connected> {
    const socket = socketOf(host);
    const source = sourceAt(socket);
    const client = await this.#hello(source);
    const watched = host.decoder === undefined ? [] : [rawAt(socket)];
    const clients = [client];
    try {
      for (const each of watched) clients.push(await this.#hello(each));
    } catch (error) {
      client.close();
      throw error;
    }
    const links: Links = { clients, lost: new AbortController() };
    this.#links.set(socket, links);
    for (const each of clients) void each.ended.then(() => this.#noteEnd(socket, links, host));
    return {
      source,
      host,
      lost: links.lost.signal,
      object: () => Promise.resolve(undefined),
      size: () => Promise.resolve(client.size),
      read: (offset, length) => client.read(offset, length),
    };
  }

  #noteEnd(socket: string, links: Links, { pid, decoder }: HostRecord): void {
    // Our own disconnect has forgotten them before.
    if (this.#links.get(socket) !== links) return;
    this.#links.delete(socket);
    for (const client of links.clients) client.close();
    const pids = [pid, decoder].filter((each) => each !== undefined).join(' or ');
    links.lost.abort(new CinderfsError('connector_failed', `qemu-nbd (process ${pids}) ended unexpectedly`));
  }

  #hello(source: NbdSource): Promise<ServerLink> {
    const { clock, startMs } = this.#options;
    return ServerLink.open(source, { clock, ms: Math.min(HELLO_MS, startMs) });
  }

  /** Of the undecoded volume at `socket`, in a cell or not. */
  async #servers(socket: string, pid: string | number | undefined): Promise<readonly number[]> {
    const free = await serversOf(this.#markOf(socket), pid);
    return free.length > 0 ? free : this.#cells.processes(socket, pid);
  }

  #markOf(socket: string): NbdMark {
    return { program: this.#program, argument: `--socket=${socket}` };
  }

  async #end(socket: string, pid: string | number | undefined): Promise<void> {
    await endServers(this.#markOf(socket), pid, this.#options.clock);
    await Promise.all(Object.values(filesOf(socket)).map((path) => rm(path, { force: true })));
  }
}

function cellServer({ options, secret }: QemuBlock, socket: string, exportName: string): CellServer {
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

function argumentsFor(block: QemuBlock, socket: string, exportName: string): readonly string[] {
  const { pid, secret } = filesOf(socket);
  const format = block.secret?.format ?? 'raw';
  return [
    '--read-only',
    '--persistent',
    // As many readers as there are; the default is 1.
    '--shared=0',
    `--socket=${socket}`,
    `--export-name=${exportName}`,
    `--pid-file=${pid}`,
    ...(block.secret === undefined
      ? []
      : ['--object', `secret,id=${SECRET_ID},format=${format},file=${secret}`]),
    `json:${JSON.stringify(block.options)}`,
  ];
}

type Files = Readonly<Record<'socket' | 'pid' | 'secret' | 'log', string>>;

function filesOf(socket: string): Files {
  const stem = socket.replace(/\.sock$/, '');
  return { socket, pid: `${stem}.pid`, secret: `${stem}.secret`, log: `${stem}.log` };
}

/** Where the undecoded volume is exported when readers get it decoded at `socket`. */
function rawOf(socket: string): string {
  return socket.replace(/\.sock$/, '.raw');
}

function sourceAt(socket: string): NbdSource {
  return { kind: 'nbd', socket, exportName: exportOf(socket) };
}

function rawAt(socket: string): NbdSource {
  return { kind: 'nbd', socket: rawOf(socket), exportName: `raw-${exportOf(socket)}` };
}

/** The volume's id: a reader that meets another server behind the socket is refused. */
function exportOf(socket: string): string {
  return basename(socket, '.sock');
}

function socketOf({ socket }: HostRecord): string {
  if (typeof socket === 'string') return socket;
  throw new CinderfsError('internal', 'a record of the qemu connector names no socket');
}
