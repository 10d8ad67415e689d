import { type Clock, sleep } from '../../../async/clock.js';
import { rbdName } from '../../../ceph/address.js';
import { CinderfsError, reasonOf } from '../../../errors.js';
import type { ConnectionInfo } from '../../../cinder/contract/attachments.js';
import type { Log } from '../../../log.js';
import { DeviceWatch } from '../brick/device-watch.js';
import type { Connected, Connector, ConnectRequest } from '../../connection/connector.js';
import type { HostRecord } from '../../journal/record.js';
import { connectPath } from '../../connection/connected-path.js';
import { type CephHost, type RbdVolume, rbdVolumeOf } from '../rbd/rbd-volume.js';
import { lookUp, run } from '../../../sys/processes/run-command.js';
import { type MappedImage, mappedImages } from './mapped-images.js';

export interface KrbdOptions extends CephHost {
  readonly stepMs: number;
  /** Reads the images that the kernel does not: it lacks features that Ceph has long had, or rbd altogether. */
  readonly fallback: Connector;
  readonly clock: Clock;
  readonly log: Log;
  /** For tests; rbd(8) otherwise. */
  readonly program?: string | undefined;
  /** For tests: what holds /sys and /dev. */
  readonly root?: string | undefined;
}

const PACKAGE = 'ceph-common';
const ASK_MS = 30_000;
/** udev may have a new disk open for a moment. */
const UNMAP_TRIES = 10;
const UNMAP_PAUSE_MS = 500;

/**
 * RBD volumes as block devices of this host's kernel, mapped read-only. Not by os-brick: it maps for writing, and takes
 * whatever mapping there is of an image of that name, in any pool, which its detach then removes. Each map of ours is a
 * device of its own, which no other host is given.
 */
export class KrbdConnector implements Connector {
  readonly name = 'krbd';
  readonly #options: KrbdOptions;
  readonly #watched = new Map<string, DeviceWatch>();

  constructor(options: KrbdOptions) {
    this.#options = options;
  }

  async refusal(info: ConnectionInfo): Promise<CinderfsError | undefined> {
    const { driver_volume_type: protocol } = info;
    if (protocol !== 'rbd')
      return new CinderfsError('protocol_unsupported', `the krbd connector does not speak ${protocol}`);
    try {
      rbdVolumeOf(info, this.#options);
    } catch (error) {
      return CinderfsError.from(error, 'connector_failed');
    }
    return (await this.#mayMap()) === undefined ? undefined : this.#options.fallback.refusal(info);
  }

  plan(request: Pick<ConnectRequest, 'volumeId' | 'info'>): HostRecord {
    const spec = specOf(rbdVolumeOf(request.info, this.#options));
    return { ...this.#options.fallback.plan(request), image: spec };
  }

  async connect(request: ConnectRequest, plan: HostRecord): Promise<Connected> {
    const refused = await this.#mayMap();
    if (refused === undefined)
      try {
        return await this.#map(request, plan);
      } catch (error) {
        await this.#unmap(plan);
        request.signal.throwIfAborted();
        this.#fallBack(request, reasonOf(error));
      }
    else this.#fallBack(request, refused.message);
    const connected = await this.#options.fallback.connect(request, plan);
    return { ...connected, host: { ...plan, ...connected.host } };
  }

  async adopt(host: HostRecord): Promise<Connected | undefined> {
    if (typeof host.identity !== 'string') {
      const connected = await this.#options.fallback.adopt(host);
      return connected && { ...connected, host };
    }
    const [mapped] = await this.#ours(host);
    return mapped && this.#connected(mapped, host);
  }

  async disconnect(host: HostRecord): Promise<void> {
    this.#watched.get(String(host.path))?.stop();
    this.#watched.delete(String(host.path));
    await this.#unmap(host);
    await this.#options.fallback.disconnect(host);
  }

  get #rbd(): { readonly program: string; readonly package: string } {
    return { program: this.#options.program ?? 'rbd', package: PACKAGE };
  }

  /** Undefined when this host can ask its kernel; whether that agrees, shows only then. */
  async #mayMap(): Promise<CinderfsError | undefined> {
    if (process.getuid?.() !== 0) return new CinderfsError('connector_failed', 'only root may map an image');
    return lookUp({ ...this.#rbd, args: [] }).then(
      () => undefined,
      (error: unknown) => CinderfsError.from(error, 'connector_missing'),
    );
  }

  #fallBack({ volumeId: volume }: ConnectRequest, reason: string): void {
    const { fallback, log } = this.#options;
    log.warn({ volume, reason, connector: fallback.name }, 'the kernel does not map this image');
  }

  async #map({ info, signal }: ConnectRequest, plan: HostRecord): Promise<Connected> {
    const volume = rbdVolumeOf(info, this.#options);
    // devtmpfs has the node at once: there is nothing to wait for in udev.
    const args = [
      'device',
      'map',
      '--read-only',
      '--options',
      'noudev',
      ...clusterOf(volume),
      specOf(volume),
    ];
    const said = await run({ ...this.#rbd, args }, { timeoutMs: this.#options.stepMs, signal });
    const mapped = (await this.#images()).find(({ path }) => path.endsWith(said.trim()));
    if (mapped?.spec !== plan.image || mapped?.readOnly !== true)
      throw new CinderfsError(
        'identity_mismatch',
        `rbd mapped ${mapped?.spec ?? 'nothing'} as ${said.trim()} instead of ${String(plan.image)}, read-only`,
      );
    return this.#connected(mapped, { ...plan, path: mapped.path, identity: mapped.identity });
  }

  async #connected({ path, name, identity }: MappedImage, host: HostRecord): Promise<Connected> {
    const object = async (): Promise<string> => {
      const [mapped] = await this.#ours(host);
      if (mapped === undefined) throw watched.vanished();
      return mapped.identity;
    };
    const connected = await connectPath(path);
    const watched = new DeviceWatch({ path, paths: [], identity: object, askMs: ASK_MS }, identity);
    this.#watched.get(path)?.stop();
    this.#watched.set(path, watched);
    return { ...connected, host, lost: watched.lost, deviceName: name, object };
  }

  /** Idempotent. Proves that it is gone; a process that has it open keeps it. */
  async #unmap(host: HostRecord): Promise<void> {
    for (let left = UNMAP_TRIES; ; left--) {
      const mapped = await this.#ours(host);
      if (mapped.length === 0) return;
      const tried = await Promise.all(mapped.map(({ path }) => this.#unmapDevice(path)));
      const [failure] = tried.filter((each) => each !== undefined);
      if (left === 0) throw failure ?? stillThere(mapped);
      if (failure !== undefined) await sleep(this.#options.clock, UNMAP_PAUSE_MS);
    }
  }

  async #unmapDevice(path: string): Promise<CinderfsError | undefined> {
    const args = ['device', 'unmap', '--options', 'noudev', path];
    return run({ ...this.#rbd, args }, { timeoutMs: this.#options.stepMs }).then(
      () => undefined,
      (error: unknown) => CinderfsError.from(error, 'connector_failed'),
    );
  }

  /**
   * The mapping that a record names. One that was cut before it knew its device takes what is read-only and of that
   * image: no other service maps so (nova and os-brick map for writing), and the kernel keeps what is open.
   */
  async #ours({ path, identity, image }: HostRecord): Promise<readonly MappedImage[]> {
    const all = await this.#images();
    const others = new Set([...this.#watched.keys()].filter((each) => each !== path));
    return typeof identity === 'string'
      ? all.filter((mapped) => mapped.path === path && mapped.identity === identity)
      : all.filter((mapped) => mapped.spec === image && mapped.readOnly && !others.has(mapped.path));
  }

  #images(): Promise<readonly MappedImage[]> {
    return mappedImages(this.#options.root);
  }
}

/** How rbd(8) reaches the cluster. The key stays in its keyring. */
function clusterOf({ cluster, user, conf, keyring, monitors }: RbdVolume): readonly string[] {
  const hosts = monitors.map(({ host, port }) =>
    host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
  );
  return [
    ...(conf === undefined ? ['--cluster', cluster] : ['--conf', conf]),
    ...(user === undefined ? [] : ['--id', user]),
    ...(keyring === undefined ? [] : ['--keyring', keyring]),
    ...(hosts.length === 0 ? [] : ['--mon-host', hosts.join(',')]),
  ];
}

function specOf(volume: RbdVolume): string {
  return rbdName({ ...volume, monitors: undefined });
}

function stillThere(mapped: readonly MappedImage[]): CinderfsError {
  return new CinderfsError('connector_failed', `still mapped: ${mapped.map(({ path }) => path).join(', ')}`);
}
