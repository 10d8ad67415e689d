import { mkdir, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { CinderfsError } from '../../../errors.js';
import type { ConnectionInfo, ConnectorProperties } from '../../../cinder/contract/attachments.js';
import { deviceIn, propertiesIn } from './brick-answers.js';
import { brick, type BrickVerb, isGone } from './brick-command.js';
import { type BrickDevice, deviceIdentity, deviceName, judgeDevice, designator } from './brick-identity.js';
import { type BrickConnection, brickPlan, brickSpeaks, withSecrets } from './brick-plan.js';
import { DeviceWatch } from './device-watch.js';
import type { Connected, Connector, ConnectRequest } from '../../connection/connector.js';
import { connectPath } from '../../connection/connected-path.js';
import { type Release, VolumeGuard } from './volume-guard.js';
import type { HostRecord } from '../../journal/record.js';

export interface BrickOptions {
  /** Holds a link to the device of each volume; for this mount alone. */
  readonly directory: string;
  readonly host: string;
  readonly ip: string;
  readonly initiator?: string | undefined;
  readonly multipath: boolean;
  /** Refuse rather than read over one path when multipathd does not run. */
  readonly enforceMultipath: boolean;
  /** Where nova-compute, cinder-volume and glance-api keep their locks: all of them are taken, in one order. */
  readonly lockDirectories: readonly string[];
  /** Lets a scan of all targets import LUNs that are not ours. */
  readonly wildcardScan: boolean;
  /** Scans for a device, some seconds apart, before it is given up; nova's default when absent. */
  readonly scanAttempts?: number | undefined;
  /** One step of cinderfs-brick may take this long, waiting for the lock included. */
  readonly stepMs: number;
  /** How often a connected device is asked for its identity, in milliseconds; half a minute when absent. */
  readonly askMs?: number | undefined;
  /** For tests; the one next to this product otherwise. */
  readonly program?: string | undefined;
}

const SCAN_ATTEMPTS = 5;
/** As often as Cinder is asked about what is held. */
const ASK_MS = 30_000;
/** Removal waits for multipathd and udev, and has to be proven: it gets more time than connecting. */
const DISCONNECT_FACTOR = 2;

/**
 * Volumes through this host's kernel, by os-brick: the code, the locks and the host identity of nova-compute.
 *
 * The source is a link of ours to the device: it stays the same when a volume is connected again and the kernel
 * gives it another name. The device itself is asked for its identity on every path, at every proof.
 */
export class BrickConnector implements Connector {
  readonly name = 'brick';
  readonly sharesDevices = true;
  readonly #options: BrickOptions;
  readonly #guard: VolumeGuard;
  readonly #watched = new Map<string, DeviceWatch>();
  #properties: Promise<ConnectorProperties> | undefined;
  /** os-brick's lock lets one through at a time: waiting here costs no process. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: BrickOptions) {
    this.#options = options;
    const { lockDirectories, stepMs: waitMs, program } = options;
    this.#guard = new VolumeGuard({ lockDirectories, waitMs, program });
  }

  /** Takes the locks of a volume (locksOf) where the other services of this host take them. */
  guard(locks: readonly string[]): Promise<Release> {
    return this.#guard.take(locks);
  }

  get multipath(): boolean {
    return this.#options.multipath;
  }

  /** What os-brick says about this host, for Cinder: WWPNs, NQN, multipath and what else its protocols need. */
  properties(): Promise<ConnectorProperties> {
    this.#properties ??= this.#step('connector', {})
      .then(propertiesIn)
      .catch((error: unknown) => {
        this.#properties = undefined;
        throw error;
      });
    return this.#properties;
  }

  async refusal(info: ConnectionInfo): Promise<CinderfsError | undefined> {
    const protocol = info.driver_volume_type;
    if (!brickSpeaks(protocol))
      return new CinderfsError('protocol_unsupported', `the brick connector does not speak ${protocol}`);
    if (process.getuid?.() !== 0)
      return new CinderfsError('connector_failed', 'the brick connector needs root');
    try {
      brickPlan(info);
      await this.properties();
      return undefined;
    } catch (error) {
      return CinderfsError.from(error, 'connector_failed');
    }
  }

  plan({ volumeId, info }: Pick<ConnectRequest, 'volumeId' | 'info'>): HostRecord {
    return { link: join(this.#options.directory, volumeId), connection: JSON.stringify(brickPlan(info)) };
  }

  async connect(request: ConnectRequest, plan: HostRecord): Promise<Connected> {
    const { volumeId, info, signal, exclusive = false } = request;
    try {
      const connection = withSecrets(connectionOf(plan), info);
      // Another service here that may write would get the same device.
      const readOnly = exclusive || info.access_mode === 'ro';
      const device = deviceIn(await this.#step('connect', { connection, read_only: readOnly }, signal));
      judgeDevice(device, info, volumeId);
      return await this.#connected({ ...plan, path: device.path }, device);
    } catch (error) {
      // Cut in the middle, os-brick could not undo what it had begun.
      await this.disconnect(plan);
      throw error;
    }
  }

  async adopt(host: HostRecord): Promise<Connected | undefined> {
    if (typeof host.path !== 'string') return undefined;
    try {
      const device = await this.#check(host.path);
      return deviceIdentity(device) === host.identity ? await this.#connected(host, device) : undefined;
    } catch {
      return undefined;
    }
  }

  async disconnect(host: HostRecord): Promise<void> {
    this.#unwatch(host);
    await this.#step('disconnect', { connection: connectionOf(host), path: host.path });
    await rm(linkOf(host), { force: true });
  }

  async leave(host: HostRecord): Promise<void> {
    this.#unwatch(host);
    await rm(linkOf(host), { force: true });
  }

  #unwatch(host: HostRecord): void {
    this.#watched.get(linkOf(host))?.stop();
    this.#watched.delete(linkOf(host));
  }

  async #connected(host: HostRecord, device: BrickDevice): Promise<Connected> {
    const link = linkOf(host);
    const { path, paths } = device;
    await mkdir(this.#options.directory, { recursive: true, mode: 0o700 });
    await rm(`${link}.new`, { force: true });
    await symlink(path, `${link}.new`);
    await rename(`${link}.new`, link);
    // A neighbour that detaches the volume and attaches it again makes another disk, maybe of the same name: then ours
    // is gone, which is no verdict on the volume.
    const object = async (): Promise<string> => {
      const seen = await this.#check(path).catch(async (error: unknown) => {
        if (isGone(error)) throw watched.vanished();
        // The caller must know whether that is because it is gone.
        await watched.look();
        throw error;
      });
      if (seen.diskseq !== device.diskseq) throw watched.vanished();
      return deviceIdentity(seen);
    };
    const proven = deviceIdentity(device);
    const { askMs = ASK_MS } = this.#options;
    this.#watched.get(link)?.stop();
    const watched = new DeviceWatch({ path, paths, identity: object, askMs }, proven);
    this.#watched.set(link, watched);
    const connected = await connectPath(link);
    return {
      ...connected,
      source: { kind: 'device', path: link, identityTag: designator(device) },
      host: { ...host, identity: proven },
      lost: watched.lost,
      deviceName: deviceName(device),
      object,
    };
  }

  async #check(path: string): Promise<BrickDevice> {
    return deviceIn(await this.#ask('check', { path }));
  }

  /** A step that takes the host's lock: one at a time. */
  #step(verb: BrickVerb, request: object, signal?: AbortSignal): Promise<unknown> {
    const done = this.#turn.then(() => this.#ask(verb, request, signal));
    this.#turn = done.catch(() => undefined);
    return done;
  }

  #ask(verb: BrickVerb, request: object, signal?: AbortSignal): Promise<unknown> {
    const { host, ip, initiator, multipath, enforceMultipath, lockDirectories, wildcardScan } = this.#options;
    const { stepMs, program } = this.#options;
    const whole = {
      host,
      ip,
      initiator,
      multipath,
      enforce_multipath: enforceMultipath,
      lock_directories: lockDirectories,
      lock_seconds: stepMs / 1000,
      wildcard_scan: wildcardScan,
      scan_attempts: this.#options.scanAttempts ?? SCAN_ATTEMPTS,
      ...request,
    };
    const timeoutMs = verb === 'disconnect' ? stepMs * DISCONNECT_FACTOR : stepMs;
    return brick(verb, whole, { timeoutMs, signal, program });
  }
}

function linkOf({ link }: HostRecord): string {
  if (typeof link === 'string') return link;
  throw new CinderfsError('internal', 'a record of the brick connector names no link');
}

function connectionOf({ connection }: HostRecord): BrickConnection {
  if (typeof connection === 'string') return JSON.parse(connection) as BrickConnection;
  throw new CinderfsError('internal', 'a record of the brick connector names no connection');
}
