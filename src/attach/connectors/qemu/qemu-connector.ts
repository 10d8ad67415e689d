import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Clock } from '../../../async/clock.js';
import { CinderfsError } from '../../../errors.js';
import type { ConnectionInfo } from '../../../cinder/contract/attachments.js';
import { type Log, silentLog } from '../../../log.js';
import type { Connected, Connector, ConnectRequest } from '../../connection/connector.js';
import type { HostRecord } from '../../journal/record.js';
import { lookUp } from '../../../sys/processes/run-command.js';
import type { NbdSource } from '../../../sources/nbd/nbd-source.js';
import { volumeFileOf } from '../../connection/volume-file.js';
import { formatOf } from '../../connection/volume-format.js';
import { CellServers, STORAGE } from './cell-server.js';
import { Decoder } from './decoder.js';
import { type QemuBlock, qemuBlocks, type QemuHost, qemuSpeaks } from './qemu-block.js';
import { rawAt, RawServers } from './raw-servers.js';
import { type Patience, ServerLink } from './server-link.js';
import { exportLayers, namesNow } from './volume-layers.js';

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
 * root, nothing on the host that another process could remove. It hands out the bytes as they are; those of a volume in
 * a format go on through a second process, that has no rights (decoder.ts).
 *
 * The servers outlive a daemon that is killed; they are found again by an argument that is named after the volume. So no
 * pid is ever killed that does not prove to be ours.
 */
export class QemuConnector implements Connector {
  readonly name = 'qemu';
  readonly #options: QemuOptions;
  readonly #servers: RawServers;
  readonly #decoder: Decoder;
  /** By the socket that readers use. */
  readonly #links = new Map<string, Links>();

  constructor(options: QemuOptions) {
    this.#options = options;
    const inCells = { ...options, log: options.log ?? silentLog };
    const cells = new CellServers(inCells);
    this.#servers = new RawServers(inCells, cells);
    this.#decoder = new Decoder(inCells, cells);
  }

  async refusal(info: ConnectionInfo): Promise<CinderfsError | undefined> {
    if (!qemuSpeaks(info.driver_volume_type))
      return new CinderfsError(
        'protocol_unsupported',
        `the qemu connector does not speak ${info.driver_volume_type}`,
      );
    try {
      formatOf(info);
      await lookUp({ program: this.#options.program ?? 'qemu-nbd', args: [], package: PACKAGE });
      if (volumeFileOf(info).snapshot !== undefined && formatOf(info) !== 'raw') await lookUp(STORAGE);
      return undefined;
    } catch (error) {
      return CinderfsError.from(error, 'connector_missing');
    }
  }

  plan({ volumeId }: Pick<ConnectRequest, 'volumeId'>): HostRecord {
    return { socket: join(this.#options.directory, `${volumeId}.sock`) };
  }

  async connect(request: ConnectRequest, plan: HostRecord): Promise<Connected> {
    const { info, signal } = request;
    const socket = socketOf(plan);
    const decoded = formatOf(info) !== 'raw';
    await mkdir(this.#options.directory, { recursive: true, mode: 0o700 });
    const failures: unknown[] = [];
    for (const block of await this.#blocks(info)) {
      signal.throwIfAborted();
      try {
        return await (decoded
          ? this.#decode(request, block, socket)
          : this.#reach({ socket, pid: await this.#servers.start(block, sourceAt(socket), signal) }));
      } catch (error) {
        failures.push(error);
        await this.disconnect(plan);
      }
    }
    throw CinderfsError.from(failures[0], 'connector_failed');
  }

  async adopt(host: HostRecord): Promise<Connected | undefined> {
    const socket = socketOf(host);
    const { decoder, pid } = host;
    const [raw] = await this.#servers.processes(decoder === undefined ? socket : rawAt(socket).socket, pid);
    const [last] = decoder === undefined ? [raw] : await this.#decoder.processes(socket, decoder);
    return raw === undefined || last === undefined ? undefined : this.#reach(host);
  }

  /** The decoder first: it reads the others. Each step is tried whatever became of the others. */
  async disconnect(host: HostRecord): Promise<void> {
    const socket = socketOf(host);
    const links = this.#links.get(socket);
    this.#links.delete(socket);
    for (const client of links?.clients ?? []) client.close();
    const results = await Promise.allSettled([
      this.#decoder.end(socket, host.decoder),
      this.#servers.end(rawAt(socket).socket, host.pid),
      this.#servers.endLower(socket),
      this.#servers.end(socket, host.pid),
    ]);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw CinderfsError.from(failed.reason, 'connector_failed');
  }

  async abandoned(host: HostRecord): Promise<boolean> {
    const socket = socketOf(host);
    const found = await Promise.all([
      ...[socket, rawAt(socket).socket].map((each) => this.#servers.processes(each, host.pid)),
      this.#servers.lower(socket),
    ]);
    return found.flat().length === 0;
  }

  async endStray(volumeId: string): Promise<void> {
    await this.disconnect(this.plan({ volumeId }));
  }

  async #blocks(info: ConnectionInfo): Promise<readonly QemuBlock[]> {
    return this.#options.blocks?.(info) ?? qemuBlocks(info, this.#options);
  }

  /** The files of the volume as they are, on sockets of their own, and what is in them on `socket`. */
  async #decode(request: ConnectRequest, block: QemuBlock, socket: string): Promise<Connected> {
    const { layers, pid } = await exportLayers(request, block, socket, {
      servers: this.#servers,
      blocks: (info) => this.#blocks(info),
      hello: (source) => this.#hello(source),
      ...this.#patience,
    });
    const decoder = await this.#decoder.start({ layers, socket }, request.signal);
    return this.#reach({ socket, pid, decoder, files: layers.map(({ name }) => name).join('/') });
  }

  async #reach(host: HostRecord): Promise<Connected> {
    const socket = socketOf(host);
    const source = sourceAt(socket);
    const watched = host.decoder === undefined ? [] : filesOf(host).map((_, index) => rawAt(socket, index));
    const clients: ServerLink[] = [];
    try {
      for (const each of [source, ...watched]) clients.push(await this.#hello(each));
      await this.#requireSame(host, clients.slice(1));
    } catch (error) {
      for (const client of clients) client.close();
      throw error;
    }
    const [client, ...raws] = clients as [ServerLink, ...ServerLink[]];
    const links: Links = { clients, lost: new AbortController() };
    this.#links.set(socket, links);
    for (const each of clients) void each.ended.then(() => this.#noteEnd(socket, links, host));
    return {
      source,
      host,
      lost: links.lost.signal,
      object: () => this.#filesNow(host, raws),
      size: () => Promise.resolve(client.size),
      read: (offset, length) => client.read(offset, length),
    };
  }

  /** The decoder was told which files there are; what Cinder does to snapshots since then changes their heads. */
  async #requireSame(host: HostRecord, raws: readonly ServerLink[]): Promise<void> {
    const now = await this.#filesNow(host, raws);
    if (now !== undefined && now !== host.files)
      throw new CinderfsError('connector_failed', 'the snapshots of the volume were changed meanwhile');
  }

  /** Of which files the volume consists, by what their heads say now. Undefined where it is one. */
  async #filesNow(host: HostRecord, raws: readonly ServerLink[]): Promise<string | undefined> {
    const files = filesOf(host);
    if (files.length < 2) return undefined;
    return (await namesNow(files[0] ?? '', raws.slice(0, -1), this.#patience)).join('/');
  }

  #noteEnd(socket: string, links: Links, { pid, decoder }: HostRecord): void {
    // Our own disconnect has forgotten them before.
    if (this.#links.get(socket) !== links) return;
    this.#links.delete(socket);
    for (const client of links.clients) client.close();
    const pids = [pid, decoder].filter((each) => each !== undefined).join(' or ');
    links.lost.abort(
      new CinderfsError('connector_failed', `the server of the volume (process ${pids}) ended unexpectedly`),
    );
  }

  #hello(source: NbdSource): Promise<ServerLink> {
    const { clock, ms } = this.#patience;
    return ServerLink.open(source, { clock, ms: Math.min(HELLO_MS, ms) });
  }

  get #patience(): Patience {
    return { clock: this.#options.clock, ms: this.#options.startMs };
  }
}

function sourceAt(socket: string): NbdSource {
  return { kind: 'nbd', socket, exportName: exportOf(socket) };
}

/** The volume's id: a reader that meets another server behind the socket is refused. */
function exportOf(socket: string): string {
  return basename(socket, '.sock');
}

/** The files that are decoded together; an older record, and a volume that is decoded alone, has one. */
function filesOf({ files = '' }: HostRecord): readonly string[] {
  return String(files).split('/');
}

function socketOf({ socket }: HostRecord): string {
  if (typeof socket === 'string') return socket;
  throw new CinderfsError('internal', 'a record of the qemu connector names no socket');
}
