import { join } from 'node:path';
import { type Clock, systemClock } from '../async/clock.js';
import { CinderfsError } from '../errors.js';
import type { Attachments, CatalogSnapshot, Volumes } from '../cinder/types.js';
import type { Log } from '../log.js';
import { brickConnector, type KernelOptions } from './brick/kernel.js';
import type { Connector } from './connector.js';
import { type AttachContext, type AttachTimes, DEFAULT_TIMES } from './context.js';
import { type HostIdentity, hostProperties } from './host-properties.js';
import type { Pin } from './lifecycle/identity.js';
import type { Journal } from './journal/journal.js';
import type { AttachableImage, AttachmentPool, AttachmentReport, Lease } from './lease.js';
import { LocalConnector } from './local-connector.js';
import { OwnerLock } from './journal/owner-lock.js';
import { Pool } from './lifecycle/pool.js';
import { QemuConnector } from './qemu/qemu-connector.js';
import { type Leftover, reap, type ReapOptions } from './lifecycle/reap.js';
import { parseRecord } from './journal/record.js';
import { RecordStore } from './journal/record-store.js';
import { Watcher } from './lifecycle/watcher.js';

export interface PoolOptions extends Omit<HostIdentity, 'stateDir'> {
  readonly attachments: Attachments;
  readonly volumes: Volumes;
  /** Survives reboots: the journal and the pins. One daemon each. */
  readonly stateDir: string;
  /** Is empty after a reboot (a tmpfs), for this mount alone: sockets. At most 60 characters, for sun_path. */
  readonly runDir: string;
  /** Named to a second daemon that wants the same state directory. */
  readonly mountpoint: string;
  /** A connector's name, or `auto`: the first that can reach the volume. */
  readonly connector: 'auto' | 'local' | 'qemu' | 'brick';
  /** Of the brick connector; as nova-compute here does it when absent. */
  readonly kernel?: KernelOptions | undefined;
  readonly times?: Partial<AttachTimes> | undefined;
  /** How often Cinder is asked about what is held, in milliseconds. */
  readonly watchMs?: number | undefined;
  readonly cephDirectory?: string | undefined;
  readonly log: Log;
  readonly clock?: Clock | undefined;
  readonly random?: (() => number) | undefined;
  /** Replaces the connectors, for tests. */
  readonly connectors?: readonly Connector[] | undefined;
  /** Stands between the pool and its journal, for tests that crash there. */
  readonly journalled?: ((journal: Journal) => Journal) | undefined;
}

/** The attachments of this host as the daemon runs them. Order: start, acquire..., drain, close. */
export interface PoolService extends AttachmentPool {
  /** Takes the state directory (`owner_exists`), then adopts or undoes what an earlier process left, in the background. */
  start(): Promise<void>;
  /** See Pool.drain. Resolves with what is still attached: nothing, if all went well. */
  drain(options: { readonly deadlineMs: number }): Promise<readonly AttachmentReport[]>;
  /** Lets go of an image nobody reads; false when it is not attached. */
  releaseImage(imageId: string): boolean;
  /** Fences what the new catalog does not have any more. For Catalog.onChange. */
  review(snapshot: CatalogSnapshot): void;
  /** Deletes, or with `dryRun` names, attachments of `volumeIds` that are ours and that no journal remembers. */
  reap(volumeIds: readonly string[], options: ReapOptions): Promise<readonly Leftover[]>;
  /** Resolves when nothing is attached, lingering or being undone. */
  quiet(): Promise<void>;
  /** Stops timers and retries and gives the state directory up. What is attached stays in the journal. */
  close(): Promise<void>;
}

/** Wires the attachment pool. Nothing happens before start(). */
export function createAttachmentPool(options: PoolOptions): PoolService {
  return new Service(options);
}

class Service implements PoolService {
  readonly #options: PoolOptions;
  readonly #end = new AbortController();
  #lock: OwnerLock | undefined;
  #context: AttachContext | undefined;
  #pool: Pool | undefined;
  #watcher: Watcher | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { stateDir, mountpoint } = this.#options;
    this.#lock = await OwnerLock.take(stateDir, mountpoint);
    try {
      const context = await contextOf(this.#options);
      this.#context = context;
      this.#pool = new Pool(context, this.#end.signal);
      this.#pool.recover(context.journal.list());
      this.#watcher = new Watcher(this.#pool, context, this.#options.watchMs ?? 30_000);
      this.#watcher.start();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async acquire(
    image: AttachableImage,
    options: { readonly signal?: AbortSignal | undefined },
  ): Promise<Lease> {
    return this.#started.acquire(image, options);
  }

  report(): readonly AttachmentReport[] {
    return this.#pool?.report() ?? [];
  }

  lastError(imageId: string): string | undefined {
    return this.#pool?.lastError(imageId);
  }

  async drain(options: { readonly deadlineMs: number }): Promise<readonly AttachmentReport[]> {
    return (await this.#pool?.drain(options)) ?? [];
  }

  releaseImage(imageId: string): boolean {
    return this.#started.releaseImage(imageId);
  }

  review(snapshot: CatalogSnapshot): void {
    this.#watcher?.review(snapshot);
  }

  async reap(volumeIds: readonly string[], options: ReapOptions): Promise<readonly Leftover[]> {
    return this.#context === undefined ? [] : reap(volumeIds, this.#context, options);
  }

  async quiet(): Promise<void> {
    await this.#pool?.quiet();
  }

  async close(): Promise<void> {
    this.#watcher?.stop();
    this.#end.abort(new CinderfsError('draining', 'the daemon is about to exit'));
    await this.#lock?.release();
    this.#lock = undefined;
  }

  get #started(): Pool {
    if (this.#pool === undefined) throw new CinderfsError('internal', 'the attachment pool was not started');
    return this.#pool;
  }
}

async function contextOf(options: PoolOptions): Promise<AttachContext> {
  const { attachments, volumes, log, stateDir } = options;
  const clock = options.clock ?? systemClock;
  const times = { ...DEFAULT_TIMES, ...options.times };
  const said = await hostProperties(options);
  const brick = await brickConnector(options, said, times.connectMs);
  // FC and NVMe need what os-brick says about this host; name, address and mode stay as configured.
  const properties =
    options.connector === 'brick'
      ? { ...(await brick.properties()), ...said, multipath: brick.multipath }
      : said;
  const records = await RecordStore.open({
    directory: join(stateDir, 'attachments'),
    parse: parseRecord,
    keyOf: ({ volumeId }) => volumeId,
    log,
  });
  const pins = await RecordStore.open({
    directory: join(stateDir, 'pins'),
    parse: parsePin,
    keyOf: ({ volumeId }) => volumeId,
    log,
  });
  const connectors: readonly Connector[] = options.connectors ?? [
    new LocalConnector(),
    new QemuConnector({
      directory: join(options.runDir, 'nbd'),
      initiator: said.initiator,
      cephDirectory: options.cephDirectory ?? '/etc/ceph',
      clock,
      startMs: times.connectMs,
    }),
    brick,
  ];
  // Through this host's kernel only when asked: there a volume meets everything else that uses it.
  const wanted = (name: string): boolean =>
    options.connector === 'auto'
      ? name !== 'brick' || options.connectors !== undefined
      : name === options.connector;
  const choices = connectors.filter(({ name }) => wanted(name));
  const random = options.random ?? Math.random;
  const journal = options.journalled?.(records) ?? records;
  return { attachments, volumes, journal, pins, connectors, choices, properties, times, clock, log, random };
}

function parsePin(value: unknown): Pin | undefined {
  const pin = value as Partial<Pin> | null;
  return typeof pin?.volumeId === 'string' && typeof pin.fingerprint === 'string' ? (pin as Pin) : undefined;
}
