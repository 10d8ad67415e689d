import { dirname } from 'node:path';
import type { Connected, Connector, ConnectRequest } from '../connection/connector.js';
import type { HostCall, HostCalls } from '../host/host-calls.js';
import type { HostRecord } from '../journal/record.js';
import type { ConnectionInfo } from '../../cinder/contract/attachments.js';
import type { CinderfsError } from '../../errors.js';
import { describeSource } from '../../sources/registry.js';
import type { Source } from '../../sources/contract/source.js';

export interface Bounds {
  /** Milliseconds for a look: whether a path is there, how large it is, a piece of it. */
  readonly lookMs: number;
  /** Milliseconds for making or removing a connection: more than connectors allow themselves, since their errors say more. */
  readonly connectMs: number;
}

/** The connector, with every step in the bulkhead of host calls. */
export function boundedConnector(connector: Connector, calls: HostCalls, bounds: Bounds): Connector {
  const bounded = new BoundedConnector(connector, calls, bounds);
  // What a connector cannot do, it cannot do with a deadline either.
  return Object.assign(bounded, {
    ...(connector.sharesDevices === undefined ? {} : { sharesDevices: true as const }),
    ...(connector.makesNothing === undefined ? {} : { makesNothing: true as const }),
    ...(connector.leave === undefined ? {} : { leave: bounded.leaving }),
    ...(connector.abandoned === undefined ? {} : { abandoned: bounded.asking }),
    ...(connector.endStray === undefined ? {} : { endStray: bounded.ending }),
  });
}

class BoundedConnector implements Connector {
  readonly #connector: Connector;
  readonly #calls: HostCalls;
  readonly #bounds: Bounds;
  /** Volumes whose connect() was written off and has not ended. */
  readonly #unsettled = new Set<string>();

  constructor(connector: Connector, calls: HostCalls, bounds: Bounds) {
    this.#connector = connector;
    this.#calls = calls;
    this.#bounds = bounds;
  }

  readonly leaving = (host: HostRecord): Promise<void> =>
    this.#remove(host, async () => this.#connector.leave?.(host));

  readonly asking = (host: HostRecord): Promise<boolean> =>
    this.#remove(host, async () => (await this.#connector.abandoned?.(host)) === true);

  readonly ending = (volumeId: string): Promise<void> =>
    this.#remove({ volumeId }, async () => this.#connector.endStray?.(volumeId));

  get name(): string {
    return this.#connector.name;
  }

  refusal(info: ConnectionInfo): Promise<CinderfsError | undefined> {
    const call = this.#call('looking for the volume', groupOf(info), this.#bounds.lookMs);
    return this.#calls.run(call, () => this.#connector.refusal(info));
  }

  plan(request: Pick<ConnectRequest, 'volumeId' | 'info'>): HostRecord {
    return this.#connector.plan(request);
  }

  async connect(request: ConnectRequest, plan: HostRecord): Promise<Connected> {
    const { volumeId, info } = request;
    const call = this.#call(`connecting volume ${volumeId}`, groupOf(info, volumeId), this.#connectMs);
    const at = { running: false };
    const work = async (): Promise<Connected> => {
      at.running = true;
      try {
        return await this.#connector.connect(request, plan);
      } finally {
        at.running = false;
        this.#unsettled.delete(volumeId);
      }
    };
    const onLate = ({ host }: Connected): void => void this.disconnect(host).catch(() => undefined);
    try {
      return this.#bounded(await this.#calls.run(call, work, onLate));
    } catch (error) {
      if (at.running && this.#connector.makesNothing !== true) this.#unsettled.add(volumeId);
      throw error;
    }
  }

  async adopt(host: HostRecord): Promise<Connected | undefined> {
    const call = this.#call(
      'looking for what an earlier process connected',
      groupOfHost(host),
      this.#connectMs,
    );
    const connected = await this.#calls.run(call, () => this.#connector.adopt(host));
    return connected === undefined ? undefined : this.#bounded(connected);
  }

  disconnect(host: HostRecord): Promise<void> {
    return this.#remove(host, () => this.#connector.disconnect(host));
  }

  unsettled(volumeId: string): boolean {
    return this.#unsettled.has(volumeId);
  }

  /** One that makes nothing only looks. */
  get #connectMs(): number {
    const { lookMs, connectMs } = this.#bounds;
    return this.#connector.makesNothing === true ? lookMs : connectMs;
  }

  #call(what: string, group: string, ms: number): HostCall {
    return { what, group, ms, thread: this.#connector.makesNothing === true };
  }

  /** In a group of its own: what hangs when it is read may be removed all the same. */
  #remove<T>(host: HostRecord, work: () => Promise<T>): Promise<T> {
    const group = `removing ${groupOfHost(host)}`;
    const call = { what: 'disconnecting', group, ms: this.#bounds.connectMs, thread: false };
    return this.#calls.run(call, work);
  }

  #bounded(connected: Connected): Connected {
    const { source, size, object, read } = connected;
    const call: HostCall = {
      what: 'reading the volume',
      group: groupOfSource(source),
      ms: this.#bounds.lookMs,
      thread: source.kind === 'file' || source.kind === 'device',
    };
    return {
      ...connected,
      object: () => this.#calls.run(call, object),
      size: () => this.#calls.run(call, size),
      read: (offset, length) => this.#calls.run(call, () => read(offset, length)),
    };
  }
}

function groupOf(info: ConnectionInfo, volumeId = String(info.volume_id)): string {
  const { export: share, device_path: path } = info;
  if (typeof share === 'string') return `the share ${share}`;
  return typeof path === 'string' ? groupOfPath(path) : `volume ${volumeId}`;
}

function groupOfHost(host: HostRecord): string {
  const { path } = host;
  return typeof path === 'string' ? groupOfPath(path) : JSON.stringify(host);
}

function groupOfSource(source: Source): string {
  return source.kind === 'file' ? groupOfPath(source.path) : describeSource(source);
}

/** A device hangs alone, a file with its folder: it is on the same share. */
function groupOfPath(path: string): string {
  return path.startsWith('/dev/') ? path : dirname(path);
}
