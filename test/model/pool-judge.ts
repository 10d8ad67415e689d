import type { AttachContext } from '../../src/attach/context/context.js';
import type { Lease } from '../../src/attach/contract/lease.js';
import type { CloneRequest } from '../../src/cinder/contract/volumes.js';
import { CinderfsError } from '../../src/errors.js';
import type { PoolWorld } from './pool-world.js';

/** What must hold at each call and for each reader: `violations` says what did not, in sentences. */
export class PoolJudge {
  readonly violations: string[] = [];
  readonly #world: PoolWorld;
  readonly #isolate: AttachContext['isolate'];
  readonly #leases: () => readonly Lease[];

  /** `leases`: those of the life that is now. */
  constructor(world: PoolWorld, isolate: AttachContext['isolate'], leases: () => readonly Lease[]) {
    this.#world = world;
    this.#isolate = isolate;
    this.#leases = leases;
  }

  say(violation: string): void {
    this.violations.push(violation);
  }

  /** Readers are cut by facts only: here nothing ever moves an image, and only an operator removes an attachment. */
  fence(volumeId: string, { fenced }: Lease): void {
    const { code, message } = CinderfsError.from(fenced.reason);
    if (code === 'image_changed' || (code === 'attachment_lost' && !this.#world.forced.has(volumeId)))
      this.say(`a reader of ${volumeId} was cut without a fact: ${message}`);
  }

  /** A reader whose engine died, while nothing else went wrong, reads on through the attachment that it had. */
  restored(volumeId: string, was: string, is: string | undefined): void {
    if (was !== is) this.say(`${volumeId} was detached under a reader whose engine had died`);
  }

  /** The bytes that a reader sees are those of the image. */
  bytes({ volumeId, source }: Lease): void {
    const { host } = this.#world;
    const device = 'path' in source ? source.path : '';
    const shown = host.devices.get(device)?.shows;
    const bytes = (volume: string): string | undefined => host.content.get(volume)?.toString();
    if (shown !== undefined && bytes(shown) !== bytes(volumeId))
      this.say(`a reader of ${volumeId} was shown ${shown}`);
  }

  /** Never detached while leased, never two attachments of ours for one volume. */
  cinder(name: string, id: string): void {
    const { cinder, others } = this.#world;
    if (name === 'delete' && others.has(id)) this.say(`deleted ${id} of another host`);
    if (name === 'delete' && this.#readers().some(({ attachmentId }) => attachmentId === id))
      this.say(`deleted ${id} under a reader`);
    if (name === 'create' && this.#isolate === 'clone' && id === 'single')
      this.say('attached a volume that was to be read through a clone');
    // Cinder itself refuses while one is on its way: only a second one that it admits would be ours twice.
    if (name === 'create' && this.#world.oursOf(id).length > 0 && cinder.volumes.get(id)?.status === 'in-use')
      this.say(`a second attachment for ${id}`);
  }

  /** One clone per volume, never deleted under a reader, and the volume itself left alone. */
  clones(name: string, asked: unknown): void {
    const { cinder, clones } = this.#world;
    if (name === 'create') {
      const { source } = asked as CloneRequest;
      const live = clones.of(source).filter((id) => cinder.volumes.get(id)?.status !== 'deleting');
      if (live.length > 0) this.say(`a second clone of ${source} besides ${live.join(', ')}`);
    }
    if (name === 'delete' && this.#world.oursOf(String(asked)).length > 0)
      this.say(`deleted the clone ${String(asked)} while it was attached`);
  }

  disconnect(device: string): void {
    const connected = this.#world.host.devices.has(device);
    if (connected && this.#readers().some(({ source }) => 'path' in source && source.path === device))
      this.say(`disconnected ${device} under a reader`);
  }

  /** No host waits for a reservation of ours whose backend hangs, where nothing was connected. */
  reservations(): void {
    const { cinder, journal, others } = this.#world;
    for (const { id, volumeId, status } of cinder.stored.values())
      if (status !== 'attached' && !others.has(id) && journal.get(volumeId)?.host === undefined)
        this.say(`${id} of ${volumeId} stays reserved although nothing was connected`);
  }

  #readers(): readonly Lease[] {
    return this.#leases().filter(({ fenced }) => !fenced.aborted);
  }
}
