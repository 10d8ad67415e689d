import { ManualClock } from '../fakes/manual-clock.js';
import { MemoryJournal, MemoryPins } from '../fakes/memory-journal.js';
import { SimulatedCinder } from '../fakes/simulated-cinder.js';
import { SimulatedClones } from '../fakes/simulated-clones.js';
import { SimulatedGlance } from '../fakes/simulated-glance.js';
import { SimulatedHost } from '../fakes/simulated-host.js';
import { type Disturbance, hasHash, IMAGES } from './pool-commands.js';

/** The world around the pool, and what others do in it. */
export class PoolWorld {
  readonly clock = new ManualClock();
  readonly cinder = new SimulatedCinder();
  readonly glance = new SimulatedGlance(IMAGES);
  readonly clones = new SimulatedClones(this.cinder);
  readonly host = new SimulatedHost(this.clock);
  readonly journal = new MemoryJournal();
  readonly pins = new MemoryPins();
  /** Attachments of other hosts: not ours to touch. */
  readonly others = new Set<string>();
  /** Volumes of which an operator removed an attachment of ours. */
  readonly forced = new Set<string>();
  /** Counts LUN reuses: an open that began after the last must not see another volume's bytes. */
  reuses = 0;

  constructor() {
    for (const { id, volumeId, multiattach } of IMAGES) {
      this.cinder.addVolume(volumeId, { multiattach, metadata: { glance_image_id: id } });
      this.host.addVolume(volumeId);
    }
    this.clones.onCreate = (source, id) => this.host.addVolume(id, this.host.content.get(source));
    this.clones.isWatched = (id) => this.host.isWatched(id);
  }

  /** What others do to a volume. */
  disturb({ do: what, volume }: Disturbance): void {
    switch (what) {
      case 'hang':
      case 'thaw':
      case 'vanish':
        for (const target of this.targetsOf(volume)) this.host[what](target);
        break;
      case 'reuse_lun':
        this.#reuse(volume);
        break;
      case 'force_delete':
        this.forced.add(volume);
        for (const id of this.oursOf(volume)) this.cinder.forceDelete(id);
        break;
      case 'other_host':
        this.#reserveElsewhere(volume);
        break;
    }
  }

  /** Our attachments of the volume and of its clones. */
  oursOf(volumeId: string): readonly string[] {
    const ours = [...this.cinder.stored.values()].filter(({ id }) => !this.others.has(id));
    return ours.filter((one) => this.targetsOf(volumeId).includes(one.volumeId)).map(({ id }) => id);
  }

  /** The volume and the clones that it is read through. */
  targetsOf(volumeId: string): readonly string[] {
    return [volumeId, ...this.clones.of(volumeId)];
  }

  /** Another host that is alive is through long before its reservation counts as an orphan; answers with what is gone. */
  finishOthers(): readonly string[] {
    const gone = [...this.others].filter((id) => !this.cinder.stored.has(id));
    for (const id of this.others) this.cinder.forceDelete(id);
    this.others.clear();
    return gone;
  }

  /** All that is ours anywhere. */
  leftovers(): readonly string[] {
    return [
      ...this.cinder.stored.keys(),
      ...this.clones.of(),
      ...this.host.devices.keys(),
      ...this.journal.list().map(({ volumeId, step }) => `the record of ${volumeId} at ${step}`),
    ];
  }

  #reuse(volume: string): void {
    // Without a hash nothing says before the first proof what they should be.
    if (!hasHash(volume) && this.pins.get(volume) === undefined) return;
    this.reuses++;
    for (const target of this.targetsOf(volume)) this.host.reuse(target, volume === 'v1' ? 'v2' : 'v1');
  }

  #reserveElsewhere(volumeId: string): void {
    try {
      this.others.add(this.cinder.attachElsewhere(volumeId, 'reserved'));
    } catch {
      // Cinder refuses them as it refuses us.
    }
  }
}
