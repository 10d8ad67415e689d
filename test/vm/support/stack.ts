import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Connector } from '../../../src/attach/connection/connector.js';
import { createAttachmentPool, type PoolService } from '../../../src/attach/service.js';
import { systemClock } from '../../../src/async/clock.js';
import type {
  Attachment,
  ConnectionInfo,
  ConnectorProperties,
} from '../../../src/cinder/contract/attachments.js';
import type { Volume as CinderVolume } from '../../../src/cinder/contract/volumes.js';
import { createImageFs } from '../../../src/fs/create-image-fs.js';
import { mountEngine } from '../../../src/fs/fuse/engine.js';
import type { MountedTransport } from '../../../src/fs/contract/transport.js';
import { createLog, type LogLevel } from '../../../src/ops/log.js';
import { FakeCatalog, fakeImage } from '../../fakes/fs-catalog.js';
import { SimulatedCinder } from '../../fakes/simulated-cinder.js';
import { eventually } from '../../support/eventually.js';
import { countingLog } from './counting-log.js';
import { leftovers } from './leftovers.js';
import { noClones } from '../../fakes/no-clones.js';
import type { Volume } from './lifecycle.js';

/** Longer than a busy machine takes from the last close to a look at what is attached. */
const LINGER_MS = 5_000;
export const READ_TIMEOUT_MS = 60_000;
let mounts = 0;
const log = createLog({ level: (process.env.CINDERFS_VM_LOG ?? 'error') as LogLevel, format: 'json' });
const NOT_CONFIRMED = 'a worker could not read; the main thread tries';

/** Cinder, with the connection_info that a real backend's driver gives for each volume of the guest. */
class GuestCinder extends SimulatedCinder {
  readonly #infos: ReadonlyMap<string, ConnectionInfo>;

  constructor(volumes: readonly Volume[]) {
    super();
    this.#infos = new Map(volumes.map(({ id, info }) => [id, info]));
    for (const { id } of volumes) this.addVolume(id);
  }

  override async update(id: string, connector: ConnectorProperties): Promise<Attachment> {
    return this.#withInfo(await super.update(id, connector));
  }

  override async show(id: string): Promise<Attachment & CinderVolume> {
    return this.#withInfo(await super.show(id));
  }

  #withInfo<T extends { readonly volumeId?: string }>(answer: T): T {
    const info = this.#infos.get(answer.volumeId ?? '');
    return info === undefined ? answer : { ...answer, connectionInfo: info };
  }
}

/** The whole product but for the wire to Cinder and the command line: images on a mount, volumes of this kernel. */
export class Stack {
  readonly cinder: GuestCinder;
  readonly pool: PoolService;
  readonly mountpoint: string;
  readonly #mounted: MountedTransport;
  /** What was on the host before, of others. */
  readonly #before: readonly string[];
  readonly #unproven: () => number;

  private constructor(
    cinder: GuestCinder,
    pool: PoolService,
    mountpoint: string,
    mounted: MountedTransport,
    before: readonly string[],
    unproven: () => number,
  ) {
    this.#unproven = unproven;
    this.#before = before;
    this.cinder = cinder;
    this.pool = pool;
    this.mountpoint = mountpoint;
    this.#mounted = mounted;
  }

  static async mount(connector: Connector, volumes: readonly Volume[], lingerMs = LINGER_MS): Promise<Stack> {
    const before = leftovers();
    const home = `/run/stack-${(mounts += 1)}`;
    const mountpoint = join(home, 'images');
    await mkdir(mountpoint, { recursive: true });
    const cinder = new GuestCinder(volumes);
    const pool = createAttachmentPool({
      attachments: cinder,
      volumes: cinder,
      clones: noClones,
      images: { show: () => Promise.resolve(undefined) },
      stateDir: join(home, 'state'),
      runDir: join(home, 'run'),
      mountId: 'test',
      mountpoint,
      connector: 'auto',
      host: 'guest',
      connectors: [connector],
      times: { lingerMs, openMs: 300_000, connectMs: 240_000 },
      log,
    });
    await pool.start();
    const images = volumes.map(({ id, mib }) =>
      fakeImage({ id: imageOf(id), volumeId: id, size: mib * 2 ** 20, multiattach: true }),
    );
    const filesystem = createImageFs({
      catalog: new FakeCatalog(images),
      pool,
      clock: systemClock,
      log,
      status: () => '{}',
      options: { gid: 0, readTimeoutMs: READ_TIMEOUT_MS },
    });
    const { log: counted, count } = countingLog(log, NOT_CONFIRMED);
    const mounted = await mountEngine(filesystem, {
      mountpoint,
      fsname: 'cinderfs-test',
      allowOther: true,
      passthrough: false,
      readTimeoutMs: READ_TIMEOUT_MS,
      openTimeoutMs: 300_000,
      attributeTtlSeconds: 60,
      log: counted,
    });
    return new Stack(cinder, pool, mountpoint, mounted, before, count);
  }

  /** Reads that the worker which made them did not hand on. */
  get unproven(): number {
    return this.#unproven();
  }

  /** The image on a volume, as a path. */
  fileOf(volume: Pick<Volume, 'id'>): string {
    return join(this.mountpoint, imageOf(volume.id));
  }

  /** Resolves when everything lingered out: nothing of ours in Cinder and on this host but the mount itself. */
  async quiet(): Promise<void> {
    await eventually(
      'everything is detached',
      () => {
        const left = [
          ...this.cinder.stored.keys(),
          ...leftovers().filter((each) => !each.includes(this.mountpoint) && !this.#before.includes(each)),
        ];
        return Promise.resolve(left.length === 0 ? true : undefined);
      },
      120_000,
    );
  }

  async unmount(): Promise<void> {
    await this.#mounted.unmount({ lazy: true });
    await this.#mounted.ended;
    await this.pool.close();
  }
}

/** Names of images are uuids. */
function imageOf(volumeId: string): string {
  return `aaaaaaaa-0000-4000-8000-${Buffer.from(volumeId).toString('hex').slice(-12).padStart(12, '0')}`;
}
