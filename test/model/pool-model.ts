import type fc from 'fast-check';
import { boundedConnector } from '../../src/attach/connectors/bounded-connector.js';
import type { Connector } from '../../src/attach/connection/connector.js';
import type { AttachContext } from '../../src/attach/context/context.js';
import { HostCalls } from '../../src/attach/host/host-calls.js';
import type { Lease } from '../../src/attach/contract/lease.js';
import { defaultHeads } from '../fakes/image-heads.js';
import { GlanceHashes } from '../../src/attach/proof/glance-hashes.js';
import { Pool } from '../../src/attach/lifecycle/pool.js';
import { Watcher } from '../../src/attach/lifecycle/watcher.js';
import { ImageCatalog } from '../../src/cinder/catalog/catalog.js';
import { CinderfsError } from '../../src/errors.js';
import { ATTACH_METRICS, newCounters } from '../../src/metrics.js';
import { Slots } from '../../src/async/slots.js';
import { silentLog } from '../../src/log.js';
import { breathe } from '../fakes/manual-clock.js';
import type { ListingFate } from '../fakes/simulated-glance.js';
import { type Fate, MortalCalls } from './mortal-calls.js';
import { type Command, IMAGES } from './pool-commands.js';
import { type Life, type OpenBefore, Restoration, TIMES } from './pool-life.js';
import { PoolJudge } from './pool-judge.js';
import { PoolWorld } from './pool-world.js';

/** The pool in its world: runs commands on it and has it judged. */
export class PoolModel {
  readonly #scheduler: fc.Scheduler;
  readonly #fates: Fate[];
  readonly #world = new PoolWorld();
  readonly #isolate: AttachContext['isolate'];
  readonly #judge: PoolJudge;
  readonly #ended: MortalCalls[] = [];
  /** Opens that succeeded. */
  #opened = 0;
  /** Disturbances, and calls that failed. */
  #troubles = 0;
  /** How many there were when a lease was wanted. */
  readonly #troublesAt = new WeakMap<Lease, number>();
  #life: Life;

  constructor(scheduler: fc.Scheduler, fates: readonly Fate[], isolate: AttachContext['isolate'] = 'none') {
    this.#isolate = isolate;
    this.#scheduler = scheduler;
    this.#fates = [...fates];
    this.#judge = new PoolJudge(this.#world, isolate, () => this.#life.leases);
    this.#life = this.#begin(new Restoration([], 0));
  }

  get violations(): readonly string[] {
    return this.#judge.violations;
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
        this.#die([], 0);
        break;
      case 'engine_dies':
        this.#die(this.#openFiles(), command.stepsBetween);
        break;
      case 'release_image':
        // Refused while somebody reads; a detach that fails is tried again.
        this.#life.pool.releaseImage(`image-${command.volume}`).catch(() => undefined);
        break;
      default:
        this.#troubles++;
        this.#world.disturb(command);
    }
    await breathe();
  }

  /** Files that the mount has open, whichever engine opened them. */
  #openFiles(): OpenBefore[] {
    const { leases, restoration } = this.#life;
    const now = leases.map((lease) => ({
      volumeId: lease.volumeId,
      attachmentId: lease.attachmentId,
      troubles: this.#troublesAt.get(lease) ?? -1,
    }));
    return [...restoration.left, ...now];
  }

  #die(before: readonly OpenBefore[], stepsBetween: number): void {
    this.#life.calls.end();
    this.#ended.push(this.#life.calls);
    this.#life = this.#begin(new Restoration(before, stepsBetween));
  }

  /** Opens the next file of an earlier engine again; after the last the pool is told. */
  #restore(): void {
    const { pool, restoration } = this.#life;
    const open = ({ volumeId, attachmentId, troubles }: OpenBefore): void =>
      this.#open(volumeId, (lease) => {
        if (troubles === this.#troubles) this.#judge.restored(volumeId, attachmentId, lease?.attachmentId);
      });
    restoration.step(open, () => pool.settled());
  }

  /** Faults end, everybody closes, time passes: then nothing of ours may be left anywhere. */
  async finish(how: 'linger' | 'drain'): Promise<void> {
    this.#fates.length = 0;
    while (!this.#life.restoration.settled) await this.#step();
    await this.#judgeHealthy();
    for (const { volumeId } of IMAGES) this.#world.disturb({ do: 'thaw', volume: volumeId });
    const { pool, leases, openings } = this.#life;
    // The mount is gone by then: files that were still being opened again have no reader.
    if (how === 'drain') this.#troubles += 1;
    if (how === 'drain') void pool.drain({ deadlineMs: 3_600_000 });
    await this.#wait(0);
    for (let turn = 0; turn < 1_000; turn++) {
      for (const lease of leases.splice(0)) lease.release();
      do await this.#step();
      while (this.#scheduler.count() > 0);
      if (leases.length === 0 && !this.#world.clock.fireNext()) break;
    }
    this.#finishOthers();
    const left = [
      ...this.#world.leftovers(),
      ...pool.report().map(({ volumeId, state, lastError }) => `${volumeId} ${state} ${lastError ?? ''}`),
    ];
    if (left.length > 0) this.#judge.say(`left behind: ${left.join(', ')}`);
    if (openings.size > 0) this.#judge.say(`${openings.size} opens never returned`);
    if (this.#world.clock.pending > 0) this.#judge.say(`${this.#world.clock.pending} timers left`);
  }

  /** While backends hang, the others are served as ever, and no host waits for a reservation of ours. */
  async #judgeHealthy(): Promise<void> {
    this.#finishOthers();
    const hung = IMAGES.filter(({ volumeId }) => this.#world.host.hangs(volumeId));
    if (hung.length === 0) return;
    await this.#pass(10 * 60_000);
    this.#judge.reservations();
    for (const { volumeId } of IMAGES.filter((image) => !hung.includes(image))) {
      const before = this.#opened;
      this.#open(volumeId);
      await this.#pass(2 * 60_000);
      if (this.#opened === before) this.#judge.say(`${volumeId} cannot be opened while others hang`);
    }
  }

  #nextFate(): Fate {
    const fate = this.#fates.shift() ?? 'none';
    this.#troubles += fate === 'none' ? 0 : 1;
    return fate;
  }

  #begin(restoration: Restoration): Life {
    const calls = new MortalCalls(this.#scheduler, () => this.#nextFate());
    const cinder = calls.wrap(this.#world.cinder, 'late', (name, [id]) =>
      this.#judge.cinder(name, String(id)),
    );
    const host: Connector = calls.wrap(this.#world.host, 'never', (name, [record]) => {
      if (name === 'disconnect') this.#judge.disconnect(String((record as { device?: string }).device));
    });
    const clock = calls.clock(this.#world.clock);
    const hostCalls = new HostCalls(clock, 32);
    const connectors = [boundedConnector(host, hostCalls, TIMES)];
    const context = {
      attachments: cinder,
      volumes: cinder,
      clones: calls.wrap(this.#world.clones, 'late', (name, [asked]) => this.#judge.clones(name, asked)),
      hashes: new GlanceHashes({ images: { show: () => Promise.resolve(undefined) }, clock, log: silentLog }),
      isolate: this.#isolate,
      verifyLimit: 1_000,
      journal: calls.wrap(this.#world.journal, 'never', () => undefined),
      pins: this.#world.pins,
      connectors,
      choices: connectors,
      heads: defaultHeads(clock),
      properties: { host: 'h', ip: '192.0.2.1', platform: 'x86_64', os_type: 'linux', multipath: false },
      times: TIMES,
      clock,
      log: silentLog,
      slots: new Slots(2),
      hostCalls,
      counters: newCounters(ATTACH_METRICS),
      inPlace: restoration.inPlace,
      guard: () => Promise.resolve(() => Promise.resolve()),
      random: () => 0.5,
    };
    const pool = new Pool(context, new AbortController().signal);
    const watcher = new Watcher(pool, context, 30_000);
    const catalog = new ImageCatalog({
      images: calls.wrap(this.#world.glance, 'never', () => undefined),
      volumes: { list: () => cinder.list(), claiming: () => Promise.resolve([]) },
      clock,
      log: silentLog,
      ttlMs: 60_000,
      minRefreshIntervalMs: 0,
    });
    catalog.onChange((snapshot) => !calls.dead && watcher.review(snapshot));
    pool.recover(this.#world.journal.list());
    return { calls, pool, watcher, catalog, openings: new Set(), leases: [], restoration };
  }

  /** A refresh that fails changes nothing. */
  #list(volumeId: string, fate: ListingFate): void {
    this.#world.glance.meet(`image-${volumeId}`, fate);
    this.#life.catalog.refresh().catch(() => undefined);
  }

  /** `answered` is told the lease, or that there is none. */
  #open(volumeId: string, answered: (lease?: Lease) => void = () => undefined): void {
    const { calls, pool, openings, leases } = this.#life;
    const image = IMAGES.find((known) => known.volumeId === volumeId);
    if (image === undefined) return;
    const [caller, reuses, troubles] = [new AbortController(), this.#world.reuses, this.#troubles];
    openings.add(caller);
    pool
      .acquire(image, { signal: caller.signal })
      .then(
        (lease) => {
          this.#opened++;
          leases.push(lease);
          this.#troublesAt.set(lease, troubles);
          if (!calls.dead) answered(lease);
          lease.fenced.addEventListener('abort', () => this.#judge.fence(volumeId, lease));
          if (!calls.dead && reuses === this.#world.reuses) this.#judge.bytes(lease);
        },
        (error: unknown) => {
          if (!calls.dead) answered();
          if (!CinderfsError.is(error) || error.code === 'internal')
            this.#judge.say(`an open of ${volumeId} failed with ${String(error)}`);
        },
      )
      .finally(() => openings.delete(caller));
  }

  #finishOthers(): void {
    for (const id of this.#world.finishOthers()) this.#judge.say(`another host's ${id} is gone`);
  }

  /** A request of a dead process reaches Cinder long before anybody stops looking for it. */
  async #wait(ms: number): Promise<void> {
    this.#finishOthers();
    while (this.#ended.some(({ underWay }) => underWay > 0)) await this.#step();
    const end = this.#world.clock.now() + ms;
    while ((this.#world.clock.nextAt ?? Infinity) <= end) {
      this.#world.clock.fireNext();
      await breathe();
      await this.#step();
    }
  }

  /** Everything that can happen in that time happens. */
  async #pass(ms: number): Promise<void> {
    const end = this.#world.clock.now() + ms;
    do {
      do await this.#step();
      while (this.#scheduler.count() > 0);
    } while ((this.#world.clock.nextAt ?? Infinity) <= end && this.#world.clock.fireNext());
  }

  async #step(): Promise<void> {
    this.#restore();
    await breathe();
    if (this.#scheduler.count() > 0) await this.#scheduler.waitNext(1);
    await breathe();
  }
}
