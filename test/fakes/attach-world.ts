import { boundedConnector } from '../../src/attach/connectors/bounded-connector.js';
import { type AttachContext, type AttachTimes, DEFAULT_TIMES } from '../../src/attach/context/context.js';
import type { AttachableImage } from '../../src/attach/contract/lease.js';
import { defaultHeads } from './image-heads.js';
import { GlanceHashes } from '../../src/attach/proof/glance-hashes.js';
import { Pool } from '../../src/attach/lifecycle/pool.js';
import type { Connector } from '../../src/attach/connection/connector.js';
import { HostCalls } from '../../src/attach/host/host-calls.js';
import { ATTACH_METRICS, newCounters } from '../../src/metrics.js';
import { Slots } from '../../src/async/slots.js';
import type { ImageLookup, ImageState } from '../../src/cinder/contract/images.js';
import { CinderfsError } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { ManualClock } from './manual-clock.js';
import { MemoryJournal, MemoryPins } from './memory-journal.js';
import { SimulatedClones } from './simulated-clones.js';
import { SimulatedCinder } from './simulated-cinder.js';
import { SimulatedHost } from './simulated-host.js';

/** Glance, asked for one image. */
export class ImageStates implements ImageLookup {
  readonly states = new Map<string, ImageState | CinderfsError>();
  asked = 0;

  async show(imageId: string): Promise<ImageState | undefined> {
    this.asked++;
    const state = this.states.get(imageId);
    if (state instanceof CinderfsError) throw state;
    return Promise.resolve(state);
  }
}

interface WorldOptions {
  readonly slots?: number;
  readonly isolate?: AttachContext['isolate'];
  /** Bytes. */
  readonly verifyLimit?: number;
  /** What the host's connector can do besides. */
  readonly abilities?: Partial<Connector>;
}

/** A pool with everything around it simulated. */
export class AttachWorld {
  readonly clock = new ManualClock();
  readonly cinder = new SimulatedCinder();
  readonly clones = new SimulatedClones(this.cinder);
  /** What Glance says of an image when it is asked; by id. */
  readonly glance = new ImageStates();
  readonly host = new SimulatedHost(this.clock);
  readonly journal = new MemoryJournal();
  readonly pins = new MemoryPins();
  readonly end = new AbortController();
  readonly context: AttachContext;
  readonly pool: Pool;

  readonly hostCalls = new HostCalls(this.clock, 32);

  constructor(
    times: Partial<AttachTimes> = {},
    { slots = 16, isolate = 'none', verifyLimit = 2 ** 20, abilities = {} }: WorldOptions = {},
  ) {
    const all = { ...DEFAULT_TIMES, ...times };
    Object.assign(this.host, abilities);
    const connector = boundedConnector(this.host, this.hostCalls, all);
    this.context = {
      attachments: this.cinder,
      volumes: this.cinder,
      clones: this.clones,
      hashes: new GlanceHashes({ images: this.glance, clock: this.clock, log: silentLog }),
      isolate,
      verifyLimit,
      heads: defaultHeads(this.clock),
      journal: this.journal,
      pins: this.pins,
      connectors: [connector],
      choices: [connector],
      properties: { host: 'host-1', ip: '192.0.2.1', platform: 'x86_64', os_type: 'linux', multipath: false },
      times: all,
      clock: this.clock,
      log: silentLog,
      slots: new Slots(slots),
      hostCalls: this.hostCalls,
      counters: newCounters(ATTACH_METRICS),
      guard: () => Promise.resolve(() => Promise.resolve()),
      random: () => 0.5,
    };
    this.clones.onCreate = (source, id) => this.host.addVolume(id, this.host.content.get(source));
    this.clones.isWatched = (id) => this.host.isWatched(id);
    this.pool = new Pool(this.context, this.end.signal);
  }

  /** A volume with an image in it. */
  addImage(volumeId: string, options: { multiattach?: boolean; encrypted?: boolean } = {}): AttachableImage {
    const { multiattach = true, encrypted = false } = options;
    this.cinder.addVolume(volumeId, { multiattach, encrypted });
    this.host.addVolume(volumeId);
    return {
      id: `image-in-${volumeId}`,
      name: `name of ${volumeId}`,
      size: `bytes of ${volumeId}`.length,
      volumeId,
      multiattach,
      diskFormat: 'raw',
    };
  }

  /** Everything of ours that is left anywhere; empty after quiescence. */
  leftovers(): readonly string[] {
    return [
      ...[...this.cinder.stored.keys()],
      ...this.clones.of(),
      ...[...this.host.devices.keys()],
      ...this.journal.list().map(({ volumeId }) => `record of ${volumeId}`),
    ];
  }
}
