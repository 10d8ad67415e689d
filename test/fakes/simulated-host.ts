import type { Clock } from '../../src/async/clock.js';
import { CinderfsError } from '../../src/errors.js';
import type { ConnectionInfo } from '../../src/cinder/contract/attachments.js';
import type { Connected, Connector, ConnectRequest } from '../../src/attach/connection/connector.js';
import type { HostRecord } from '../../src/attach/journal/record.js';

export type HostCall = 'connect' | 'disconnect' | 'adopt' | 'read';

interface Device {
  readonly volumeId: string;
  /** Whose bytes it shows: another volume's after a LUN was reused. */
  shows: string;
  readonly lost: AbortController;
}

/** A host with devices in memory. They outlive the pool that connected them, as a real host's outlive the daemon. */
export class SimulatedHost implements Connector {
  readonly name = 'simulated';
  readonly #clock: Clock;
  readonly devices = new Map<string, Device>();
  /** Bytes of each volume. */
  readonly content = new Map<string, Buffer>();
  readonly calls: HostCall[] = [];
  protocols: readonly string[] = ['simulated'];
  /** Readers that closed nothing when they died: when, by volume. */
  readonly died = new Map<string, number>();
  /** What waits for a volume whose backend hangs. */
  readonly #hung = new Map<string, { readonly thawed: Promise<void>; readonly thaw: () => void }>();
  gate: (call: HostCall) => Promise<CinderfsError | undefined> = () => Promise.resolve(undefined);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  addVolume(id: string, content: Buffer = Buffer.from(`bytes of ${id}`)): void {
    this.content.set(id, content);
  }

  /** From now on whatever touches the volume waits: a dead share, or an array that does not answer. */
  hang(volumeId: string): void {
    if (this.#hung.has(volumeId)) return;
    let thaw: () => void = () => undefined;
    const thawed = new Promise<void>((resolve) => (thaw = resolve));
    this.#hung.set(volumeId, { thawed, thaw });
  }

  /** The backend answers again: what waited goes on. */
  thaw(volumeId: string): void {
    this.#hung.get(volumeId)?.thaw();
    this.#hung.delete(volumeId);
  }

  hangs(volumeId: string): boolean {
    return this.#hung.has(volumeId);
  }

  async refusal(info: ConnectionInfo): Promise<CinderfsError | undefined> {
    await this.#hung.get(String(info.volume_id))?.thawed;
    const speaks = this.protocols.includes(info.driver_volume_type);
    return speaks ? undefined : new CinderfsError('protocol_unsupported', 'not simulated');
  }

  plan({ volumeId }: Pick<ConnectRequest, 'volumeId'>): HostRecord {
    return { device: `device-of-${volumeId}` };
  }

  /** Like a real one: a failure or an interruption may come before or after the device was made. */
  async connect({ volumeId, signal }: ConnectRequest, plan: HostRecord): Promise<Connected> {
    const name = String(plan.device);
    if (this.devices.has(name)) throw new CinderfsError('internal', `${name} was connected twice`);
    this.devices.set(name, { volumeId, shows: volumeId, lost: new AbortController() });
    const failure = await this.#pass('connect', volumeId);
    if (failure !== undefined || signal.aborted) {
      this.devices.delete(name);
      throw failure ?? CinderfsError.from(signal.reason);
    }
    return this.#connected(name);
  }

  async adopt(host: HostRecord): Promise<Connected | undefined> {
    const name = String(host.device);
    await this.#pass('adopt', volumeOf(name));
    return this.devices.has(name) ? this.#connected(name) : undefined;
  }

  async disconnect(host: HostRecord): Promise<void> {
    const failure = await this.#pass('disconnect', volumeOf(String(host.device)));
    if (failure !== undefined) throw failure;
    this.devices.delete(String(host.device));
  }

  abandoned(host: HostRecord): Promise<boolean> {
    return Promise.resolve(!this.devices.has(String(host.device)));
  }

  async endStray(volumeId: string): Promise<void> {
    await this.disconnect(this.plan({ volumeId }));
  }

  /** Somebody else took the device away. */
  vanish(volumeId: string): void {
    const name = `device-of-${volumeId}`;
    if (this.devices.has(name)) this.died.set(volumeId, this.#clock.now());
    const device = this.devices.get(name);
    this.devices.delete(name);
    device?.lost.abort(new CinderfsError('connector_failed', `${name} vanished`));
  }

  /** Ceph counts a client for 30 s after it died, and for as long as it lives. */
  isWatched(volumeId: string): boolean {
    const died = this.died.get(volumeId);
    return (
      this.devices.has(`device-of-${volumeId}`) || (died !== undefined && this.#clock.now() - died < 30_000)
    );
  }

  /** The LUN-reuse attack: the path of one volume shows another's bytes. */
  reuse(volumeId: string, shows: string): void {
    const device = this.devices.get(`device-of-${volumeId}`);
    if (device !== undefined) device.shows = shows;
  }

  /** What a reader of the path sees now. */
  read(name: string): Buffer {
    const device = this.devices.get(name);
    const bytes = device === undefined ? undefined : this.content.get(device.shows);
    if (bytes === undefined) throw new CinderfsError('connector_failed', `${name} is gone`);
    return bytes;
  }

  #connected(name: string): Connected {
    const device = this.devices.get(name);
    if (device === undefined) throw new CinderfsError('connector_failed', `${name} is gone`);
    return {
      source: { kind: 'device', path: name },
      host: { device: name },
      lost: device.lost.signal,
      object: () => Promise.resolve(undefined),
      size: () => Promise.resolve(this.read(name).length),
      read: async (offset, length) => {
        const failure = await this.#pass('read', volumeOf(name));
        if (failure !== undefined) throw failure;
        return this.read(name).subarray(offset, offset + length);
      },
    };
  }

  async #pass(call: HostCall, volumeId: string): Promise<CinderfsError | undefined> {
    this.calls.push(call);
    await this.#hung.get(volumeId)?.thawed;
    return this.gate(call);
  }
}

function volumeOf(device: string): string {
  return device.replace('device-of-', '');
}
