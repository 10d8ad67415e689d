import type fc from 'fast-check';
import { boundedConnector } from '../../src/attach/bounded-connector.js';
import type { Connector } from '../../src/attach/connector.js';
import { type AttachContext, DEFAULT_TIMES } from '../../src/attach/context.js';
import { HostCalls } from '../../src/attach/host-calls.js';
import type { Lease } from '../../src/attach/lease.js';
import { Pool } from '../../src/attach/lifecycle/pool.js';
import { Watcher } from '../../src/attach/lifecycle/watcher.js';
import { ImageCatalog } from '../../src/cinder/catalog.js';
import type { CloneRequest } from '../../src/cinder/types.js';
import { CinderfsError } from '../../src/errors.js';
import { newCounters } from '../../src/attach/figures.js';
import { Slots } from '../../src/async/slots.js';
import { silentLog } from '../../src/log.js';
import { breathe, ManualClock } from '../fakes/manual-clock.js';
import { MemoryJournal, MemoryPins } from '../fakes/memory-journal.js';
import { SimulatedClones } from '../fakes/simulated-clones.js';
import { SimulatedCinder } from '../fakes/simulated-cinder.js';
import { type ListingFate, SimulatedGlance } from '../fakes/simulated-glance.js';
import { SimulatedHost } from '../fakes/simulated-host.js';
import { type Fate, MortalCalls } from './mortal-calls.js';
import { type Command, type Disturbance, hasHash, IMAGES } from './pool-commands.js';

/** One life of the daemon. */
interface Life {
  readonly calls: MortalCalls;
  readonly pool: Pool;
  readonly watcher: Watcher;
  readonly catalog: ImageCatalog;
  readonly openings: Set<AbortController>;
  readonly leases: Lease[];
}

/** The world around the pool, and what must hold in it: `violations` says what did not, in sentences. */
export class PoolModel {
  readonly violations: string[] = [];
  readonly #scheduler: fc.Scheduler;
  readonly #fates: Fate[];
  readonly #clock = new ManualClock();
  readonly #cinder = new SimulatedCinder();
  readonly #glance = new SimulatedGlance(IMAGES);
  readonly #clones = new SimulatedClones(this.#cinder);
  readonly #host = new SimulatedHost(this.#clock);
  readonly #isolate: AttachContext['isolate'];
  readonly #journal = new MemoryJournal();
  readonly #pins = new MemoryPins();
  /** Attachments of other hosts: not ours to touch. */
  readonly #others = new Set<string>();
  readonly #ended: MortalCalls[] = [];
  /** Volumes of which an operator removed an attachment of ours. */
  readonly #forced = new Set<string>();
  /** Counts LUN reuses: an open that began after the last must not see another volume's bytes. */
  #reuses = 0;
  /** Opens that succeeded. */
  #opened = 0;
  #life: Life;

  constructor(scheduler: fc.Scheduler, fates: readonly Fate[], isolate: AttachContext['isolate'] = 'none') {
    this.#isolate = isolate;
    this.#scheduler = scheduler;
    this.#fates = [...fates];
    for (const { volumeId, multiattach } of IMAGES) {
      this.#cinder.addVolume(volumeId, { multiattach });
      this.#host.addVolume(volumeId);
    }
    this.#clones.onCreate = (source, id) => this.#host.addVolume(id, this.#host.content.get(source));
    this.#clones.isWatched = (id) => this.#host.isWatched(id);
    this.#life = this.#begin();
  }

  async run(command: Command): Promise<void> {
    const { leases, openings, watcher } = this.#life;
    switch (command.do) {
      case 'open':
        this.#open(command.volume);
        break;
      case 'close':
        leases.splice(command.pick % Math.max(1, leases.length), 1)[0]?.release({ evict: command.evict });
        break;
      case 'give_up':
        [...openings][command.pick % Math.max(1, openings.size)]?.abort();
        break;
      case 'wait':
        await this.#wait(command.ms);
        break;
      case 'step':
        for (let left = command.steps; left > 0; left--) await this.#step();
        break;
      case 'list':
        this.#list(command.volume, command.fate);
        break;
      case 'look':
        void watcher.look();
        break;
      case 'crash':
        this.#life.calls.end();
        this.#ended.push(this.#life.calls);
        this.#life = this.#begin();
        break;
      default:
        this.#disturb(command);
    }
    await breathe();
  }

  /** What others do to a volume. */
  #disturb({ do: what, volume }: Disturbance): void {
    switch (what) {
      case 'hang':
        for (const target of this.#targetsOf(volume)) this.#host.hang(target);
        break;
      case 'thaw':
        for (const target of this.#targetsOf(volume)) this.#host.thaw(target);
        break;
      case 'vanish':
        for (const target of this.#targetsOf(volume)) this.#host.vanish(target);
        break;
      case 'reuse_lun':
        // Without a hash nothing says before the first proof what they should be.
        if (!hasHash(volume) && this.#pins.get(volume) === undefined) break;
        this.#reuses++;
        for (const target of this.#targetsOf(volume)) this.#host.reuse(target, volume === 'v1' ? 'v2' : 'v1');
        break;
      case 'force_delete':
        this.#forced.add(volume);
        for (const id of this.#oursOf(volume)) this.#cinder.forceDelete(id);
        break;
      case 'release_image':
        // Refused while somebody reads; a detach that fails is tried again.
        this.#life.pool.releaseImage(`image-${volume}`).catch(() => undefined);
        break;
      case 'other_host':
        this.#reserveElsewhere(volume);
        break;
    }
  }

  /** Faults end, everybody closes, time passes: then nothing of ours may be left anywhere. */
  async finish(how: 'linger' | 'drain'): Promise<void> {
    this.#fates.length = 0;
    await this.#judgeHealthy();
    for (const { volumeId } of IMAGES) this.#disturb({ do: 'thaw', volume: volumeId });
    const { pool, leases, openings } = this.#life;
    if (how === 'drain') void pool.drain({ deadlineMs: 3_600_000 });
    await this.#wait(0);
    for (let turn = 0; turn < 1_000; turn++) {
      for (const lease of leases.splice(0)) lease.release();
      do await this.#step();
      while (this.#scheduler.count() > 0);
      if (leases.length === 0 && !this.#clock.fireNext()) break;
    }
    this.#finishOthers();
    const left = [
      ...this.#cinder.stored.keys(),
      ...this.#clones.of(),
      ...this.#host.devices.keys(),
      ...this.#journal.list().map(({ volumeId, step }) => `the record of ${volumeId} at ${step}`),
      ...pool.report().map(({ volumeId, state, lastError }) => `${volumeId} ${state} ${lastError ?? ''}`),
    ];
    if (left.length > 0) this.violations.push(`left behind: ${left.join(', ')}`);
    if (openings.size > 0) this.violations.push(`${openings.size} opens never returned`);
    if (this.#clock.pending > 0) this.violations.push(`${this.#clock.pending} timers left`);
  }

  /** While backends hang, the others are served as ever, and no host waits for a reservation of ours. */
  async #judgeHealthy(): Promise<void> {
    this.#finishOthers();
    const hung = IMAGES.filter(({ volumeId }) => this.#host.hangs(volumeId));
    if (hung.length === 0) return;
    await this.#pass(10 * 60_000);
    const pending = [...this.#cinder.stored.values()].filter(
      ({ id, status }) => status !== 'attached' && !this.#others.has(id),
    );
    for (const { id, volumeId } of pending)
      if (this.#journal.get(volumeId)?.host === undefined)
        this.violations.push(`${id} of ${volumeId} stays reserved although nothing was connected`);
    for (const { volumeId } of IMAGES.filter((image) => !hung.includes(image))) {
      const before = this.#opened;
      this.#open(volumeId);
      await this.#pass(2 * 60_000);
      if (this.#opened === before) this.violations.push(`${volumeId} cannot be opened while others hang`);
    }
  }

  #begin(): Life {
    const calls = new MortalCalls(this.#scheduler, () => this.#fates.shift() ?? 'none');
    const cinder = calls.wrap(this.#cinder, 'late', (name, [id]) => this.#judgeCinder(name, String(id)));
    const host: Connector = calls.wrap(this.#host, 'never', (name, [record]) => {
      if (name === 'disconnect') this.#judgeDisconnect(String((record as { device?: string }).device));
    });
    const times = { ...DEFAULT_TIMES, proofMs: 0, recheckMs: 0 };
    const clock = calls.clock(this.#clock);
    const hostCalls = new HostCalls(clock, 32);
    const connector = boundedConnector(host, hostCalls, times);
    const context = {
      attachments: cinder,
      volumes: cinder,
      clones: calls.wrap(this.#clones, 'late', (name, [asked]) => this.#judgeClone(name, asked)),
      isolate: this.#isolate,
      verifyLimit: 1_000,
      journal: calls.wrap(this.#journal, 'never', () => undefined),
      pins: this.#pins,
      connectors: [connector],
      choices: [connector],
      properties: { host: 'h', ip: '192.0.2.1', platform: 'x86_64', os_type: 'linux', multipath: false },
      times,
      clock,
      log: silentLog,
      slots: new Slots(2),
      hostCalls,
      counters: newCounters(),
      guard: () => Promise.resolve(() => Promise.resolve()),
      random: () => 0.5,
    };
    const pool = new Pool(context, new AbortController().signal);
    const watcher = new Watcher(pool, context, 30_000);
    const catalog = new ImageCatalog({
      images: calls.wrap(this.#glance, 'never', () => undefined),
      volumes: cinder,
      clock: context.clock,
      log: silentLog,
      ttlMs: 60_000,
      minRefreshIntervalMs: 0,
    });
    catalog.onChange((snapshot) => !calls.dead && watcher.review(snapshot));
    pool.recover(this.#journal.list());
    return { calls, pool, watcher, catalog, openings: new Set(), leases: [] };
  }

  /** A refresh that fails changes nothing. */
  #list(volumeId: string, fate: ListingFate): void {
    this.#glance.meet(`image-${volumeId}`, fate);
    this.#life.catalog.refresh().catch(() => undefined);
  }

  #open(volumeId: string): void {
    const { calls, pool, openings, leases } = this.#life;
    const image = IMAGES.find((known) => known.volumeId === volumeId);
    if (image === undefined) return;
    const [caller, reuses] = [new AbortController(), this.#reuses];
    openings.add(caller);
    pool
      .acquire(image, { signal: caller.signal })
      .then(
        (lease) => {
          this.#opened++;
          leases.push(lease);
          lease.fenced.addEventListener('abort', () => this.#judgeFence(volumeId, lease));
          if (!calls.dead && reuses === this.#reuses) this.#judgeBytes(lease);
        },
        (error: unknown) => {
          if (!CinderfsError.is(error) || error.code === 'internal')
            this.violations.push(`an open of ${volumeId} failed with ${String(error)}`);
        },
      )
      .finally(() => openings.delete(caller));
  }

  /** Readers are cut by facts only: here nothing ever moves an image, and only an operator removes an attachment. */
  #judgeFence(volumeId: string, { fenced }: Lease): void {
    const { code, message } = CinderfsError.from(fenced.reason);
    if (code === 'image_changed' || (code === 'attachment_lost' && !this.#forced.has(volumeId)))
      this.violations.push(`a reader of ${volumeId} was cut without a fact: ${message}`);
  }

  /** The bytes that a reader sees are those of the image. */
  #judgeBytes({ volumeId, source }: Lease): void {
    const device = 'path' in source ? source.path : '';
    const shown = this.#host.devices.get(device)?.shows;
    const bytes = (volume: string): string | undefined => this.#host.content.get(volume)?.toString();
    if (shown !== undefined && bytes(shown) !== bytes(volumeId))
      this.violations.push(`a reader of ${volumeId} was shown ${shown}`);
  }

  /** Never detached while leased, never two attachments of ours for one volume. */
  #judgeCinder(name: string, id: string): void {
    if (name === 'delete' && this.#others.has(id)) this.violations.push(`deleted ${id} of another host`);
    if (name === 'delete' && this.#readers().some(({ attachmentId }) => attachmentId === id))
      this.violations.push(`deleted ${id} under a reader`);
    if (name === 'create' && this.#isolate === 'clone' && id === 'single')
      this.violations.push('attached a volume that was to be read through a clone');
    if (name === 'create' && this.#oursOf(id).length > 0) {
      const status = this.#cinder.volumes.get(id)?.status;
      // Cinder itself refuses while one is on its way: only a second one that it admits would be ours twice.
      if (status === 'in-use') this.violations.push(`a second attachment for ${id}`);
    }
  }

  /** One clone per volume, never deleted under a reader, and the volume itself left alone. */
  #judgeClone(name: string, asked: unknown): void {
    if (name === 'create') {
      const { source } = asked as CloneRequest;
      const live = this.#clones
        .of(source)
        .filter((id) => this.#cinder.volumes.get(id)?.status !== 'deleting');
      if (live.length > 0) this.violations.push(`a second clone of ${source} besides ${live.join(', ')}`);
    }
    if (name === 'delete' && this.#oursOf(String(asked)).length > 0)
      this.violations.push(`deleted the clone ${String(asked)} while it was attached`);
  }

  #judgeDisconnect(device: string): void {
    const connected = this.#host.devices.has(device);
    if (connected && this.#readers().some(({ source }) => 'path' in source && source.path === device))
      this.violations.push(`disconnected ${device} under a reader`);
  }

  #readers(): readonly Lease[] {
    return this.#life.leases.filter(({ fenced }) => !fenced.aborted);
  }

  #oursOf(volumeId: string): readonly string[] {
    const ours = [...this.#cinder.stored.values()].filter(({ id }) => !this.#others.has(id));
    return ours.filter((one) => this.#targetsOf(volumeId).includes(one.volumeId)).map(({ id }) => id);
  }

  /** The volume and the clones that it is read through. */
  #targetsOf(volumeId: string): readonly string[] {
    return [volumeId, ...this.#clones.of(volumeId)];
  }

  #reserveElsewhere(volumeId: string): void {
    try {
      this.#others.add(this.#cinder.attachElsewhere(volumeId, 'reserved'));
    } catch {
      // Cinder refuses them as it refuses us.
    }
  }

  /** Another host that is alive is through long before anybody takes its reservation for an orphan. */
  #finishOthers(): void {
    for (const id of this.#others) {
      if (!this.#cinder.stored.has(id)) this.violations.push(`another host's ${id} is gone`);
      this.#cinder.forceDelete(id);
    }
    this.#others.clear();
  }

  /** A request of a dead process reaches Cinder long before anybody stops looking for it. */
  async #wait(ms: number): Promise<void> {
    this.#finishOthers();
    while (this.#ended.some(({ underWay }) => underWay > 0)) await this.#step();
    const end = this.#clock.now() + ms;
    while ((this.#clock.nextAt ?? Infinity) <= end) {
      this.#clock.fireNext();
      await breathe();
      await this.#step();
    }
  }

  /** Everything that can happen in that time happens. */
  async #pass(ms: number): Promise<void> {
    const end = this.#clock.now() + ms;
    do {
      do await this.#step();
      while (this.#scheduler.count() > 0);
    } while ((this.#clock.nextAt ?? Infinity) <= end && this.#clock.fireNext());
  }

  async #step(): Promise<void> {
    await breathe();
    if (this.#scheduler.count() > 0) await this.#scheduler.waitNext(1);
    await breathe();
  }
}
