import { watch } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Clock } from '../../async/clock.js';
import { withDeadline } from '../../async/deadline.js';
import { CinderfsError, reasonOf } from '../../errors.js';
import type { ConnectionInfo } from '../../cinder/types.js';
import type { Connected, Connector, ConnectRequest } from '../connector.js';
import { NbdClient } from './nbd-client.js';
import { endProcess, findProcesses, runs } from '../processes.js';
import { type QemuBlock, qemuBlocks, type QemuHost, qemuSpeaks, SECRET_ID } from './qemu-block.js';
import type { HostRecord } from '../journal/record.js';
import { lookUp, start, type Started } from '../run-command.js';

export interface QemuOptions extends QemuHost {
  /** Holds sockets, pid files, logs and, while a server starts, secrets; on a tmpfs, for this mount alone. */
  readonly directory: string;
  readonly clock: Clock;
  readonly startMs: number;
  /** For tests; `qemu-nbd` otherwise. */
  readonly program?: string | undefined;
  /** For tests, which have files instead of a backend; qemuBlocks() otherwise. */
  readonly blocks?: ((info: ConnectionInfo) => Promise<readonly QemuBlock[]>) | undefined;
}

const PACKAGE = 'qemu-utils';
/** 0: as many readers as there are; the default is 1. */
const SHARED = 0;

/**
 * One read-only qemu-nbd per volume, on a unix socket, with QEMU's own drivers in user space: no kernel initiator, no
 * root, nothing on the host that somebody else could take away.
 *
 * The server outlives a daemon that is killed; it is found again by its socket, which stands in its arguments and is
 * named after the volume. So no pid is ever killed that does not prove to be ours.
 */
export class QemuConnector implements Connector {
  readonly name = 'qemu';
  readonly #options: QemuOptions;
  /** Our own connection to each server, by socket: proves, and notices its end. */
  readonly #clients = new Map<string, NbdClient>();

  constructor(options: QemuOptions) {
    this.#options = options;
  }

  async refusal(info: ConnectionInfo): Promise<CinderfsError | undefined> {
    if (!qemuSpeaks(info.driver_volume_type))
      return new CinderfsError(
        'protocol_unsupported',
        `the qemu connector does not speak ${info.driver_volume_type}`,
      );
    try {
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
    await mkdir(this.#options.directory, { recursive: true, mode: 0o700 });
    const failures: unknown[] = [];
    const blocks = this.#options.blocks?.(info) ?? qemuBlocks(info, this.#options);
    for (const block of await blocks) {
      signal.throwIfAborted();
      try {
        return await this.#serve(block, socket, signal);
      } catch (error) {
        failures.push(error);
        await this.disconnect(plan);
      }
    }
    throw CinderfsError.from(failures[0], 'connector_failed');
  }

  async adopt(host: HostRecord): Promise<Connected | undefined> {
    const socket = socketOf(host);
    const [pid] = await this.#servers(host);
    return pid === undefined ? undefined : this.#reach(socket, pid);
  }

  /** Each step is tried whatever became of the others. */
  async disconnect(host: HostRecord): Promise<void> {
    const socket = socketOf(host);
    const client = this.#clients.get(socket);
    this.#clients.delete(socket);
    client?.close();
    const endings = (await this.#servers(host)).map((pid) => endProcess(pid, this.#options.clock));
    const results = await Promise.allSettled(endings);
    const failures = results.flatMap((result) =>
      result.status === 'rejected' ? [result.reason as unknown] : [],
    );
    if (failures.length > 0)
      throw new CinderfsError('connector_failed', failures.map(reasonOf).join('; '), {
        cause: new AggregateError(failures),
      });
    await Promise.all(Object.values(filesOf(socket)).map((path) => rm(path, { force: true })));
  }

  async abandoned(host: HostRecord): Promise<boolean> {
    return (await this.#servers(host)).length === 0;
  }

  async endStray(volumeId: string): Promise<void> {
    await this.disconnect(this.plan({ volumeId }));
  }

  get #program(): string {
    return this.#options.program ?? 'qemu-nbd';
  }

  /** Starts a server and waits for the event that it listens: qemu-nbd writes its pid file then. */
  async #serve(block: QemuBlock, socket: string, signal: AbortSignal): Promise<Connected> {
    const files = filesOf(socket);
    const ready = awaitFile(files.pid);
    try {
      if (block.secret !== undefined) await writeFile(files.secret, block.secret.value, { mode: 0o600 });
      const args = argumentsFor(block, socket);
      const server = await start({ program: this.#program, args, package: PACKAGE }, files.log);
      await withDeadline(Promise.race([ready.seen, failureOf(server, files.log)]), {
        clock: this.#options.clock,
        ms: this.#options.startMs,
        signal,
        onTimeout: () => new CinderfsError('connector_failed', 'qemu-nbd does not reach the volume in time'),
      });
      return await this.#reach(socket, server.pid);
    } finally {
      ready.stop();
      // QEMU read it while it opened the volume; nobody else needs to.
      await rm(files.secret, { force: true });
    }
  }

  async #reach(socket: string, pid: number): Promise<Connected> {
    const exportName = exportOf(socket);
    const client = await NbdClient.connect(socket, exportName);
    const lost = new AbortController();
    this.#clients.set(socket, client);
    void client.ended.then(() => {
      // Our own disconnect has forgotten the client before.
      if (this.#clients.get(socket) !== client) return;
      this.#clients.delete(socket);
      lost.abort(new CinderfsError('connector_failed', `qemu-nbd (process ${pid}) ended unexpectedly`));
    });
    return {
      source: { kind: 'nbd', socket, exportName },
      host: { socket, pid },
      lost: lost.signal,
      object: () => Promise.resolve(undefined),
      size: () => Promise.resolve(client.size),
      read: (offset, length) => client.read(offset, length),
    };
  }

  /** The process that the record names, if it is still that one; else any that serves this socket. */
  async #servers({ socket, pid }: HostRecord): Promise<readonly number[]> {
    const argument = `--socket=${String(socket)}`;
    const program = basename(this.#program);
    if (typeof pid === 'number' && (await runs(pid, program, argument))) return [pid];
    return findProcesses(program, argument);
  }
}

function argumentsFor(block: QemuBlock, socket: string): readonly string[] {
  const { pid, secret } = filesOf(socket);
  const format = block.secret?.format ?? 'raw';
  return [
    '--read-only',
    '--persistent',
    `--shared=${SHARED}`,
    `--socket=${socket}`,
    `--export-name=${exportOf(socket)}`,
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

/** The volume's id: a reader that meets another server behind the socket is refused. */
function exportOf(socket: string): string {
  return basename(socket, '.sock');
}

function socketOf({ socket }: HostRecord): string {
  if (typeof socket === 'string') return socket;
  throw new CinderfsError('internal', 'a record of the qemu connector names no socket');
}

/** Rejects when the server ends: with what it said last, and with the package to install when a driver is missing. */
async function failureOf(server: Started, log: string): Promise<never> {
  const how = await server.ended;
  const text = await readFile(log, 'utf8').catch(() => '');
  const last =
    text
      .trim()
      .split('\n')
      .at(-1)
      ?.replace(/^qemu-nbd: /, '') ?? '';
  const driver = /Unknown (?:driver|protocol) '([a-z]+)'/.exec(text)?.[1];
  if (driver !== undefined)
    throw new CinderfsError('connector_missing', `qemu-nbd has no block driver for ${driver}`, {
      remedy: 'Install the package qemu-block-extra (Debian) or qemu-kvm-block-' + `${driver} (Red Hat).`,
    });
  throw new CinderfsError('connector_failed', `qemu-nbd: ${last === '' ? how : last}`);
}

/** An event for "the file exists and has content"; to be created before whoever writes it starts. */
function awaitFile(path: string): { readonly seen: Promise<void>; readonly stop: () => void } {
  const watcher = watch(dirname(path));
  const seen = new Promise<void>((resolve, reject) => {
    watcher.on('error', reject);
    watcher.on('change', (_event, name) => {
      if (name !== basename(path)) return;
      void readFile(path, 'utf8').then(
        (text) => text.endsWith('\n') && resolve(),
        () => undefined,
      );
    });
  });
  return { seen, stop: () => watcher.close() };
}
