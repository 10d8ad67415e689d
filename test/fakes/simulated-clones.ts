import type { CloneRequest, Clones, Volume } from '../../src/cinder/contract/volumes.js';
import { CinderfsError } from '../../src/errors.js';
import type { SimulatedCinder } from './simulated-cinder.js';

/**
 * Clones in a SimulatedCinder, as Cinder makes them: accepted at once, `creating` until somebody has looked, not to be
 * deleted while that lasts or while attached, and gone only after a look at it `deleting`.
 */
export class SimulatedClones implements Clones {
  types: readonly string[] = ['multi'];
  /** Told of each clone: its bytes are those of the source. */
  onCreate: (source: string, id: string) => void = () => undefined;
  /** Whether the backend counts somebody as its reader: then it is not deleted, and only an administrator mends that. */
  isWatched: (id: string) => boolean = () => false;
  readonly #cinder: SimulatedCinder;
  #next = 1;

  constructor(cinder: SimulatedCinder) {
    this.#cinder = cinder;
  }

  /** Ids of the clones that there are, of one source or of all. */
  of(source?: string): readonly string[] {
    const clones = [...this.#cinder.volumes.values()].filter(({ sourceId }) => sourceId !== undefined);
    return clones.filter((clone) => source === undefined || clone.sourceId === source).map(({ id }) => id);
  }

  create({ source, name, type, metadata }: CloneRequest): Promise<Volume> {
    const id = `clone-${this.#next++}`;
    this.#cinder.addVolume(id, { multiattach: type !== undefined, name, metadata, sourceId: source });
    this.onCreate(source, id);
    return Promise.resolve(this.#cinder.look(id));
  }

  named(name: string): Promise<readonly Volume[]> {
    const all = this.of().map((id) => this.#cinder.look(id));
    return Promise.resolve(all.filter((volume) => volume.name === name));
  }

  delete(id: string): Promise<void> {
    const volume = this.#cinder.volumes.get(id);
    if (volume === undefined) return Promise.resolve();
    if (!['available', 'error'].includes(volume.status))
      return Promise.reject(
        new CinderfsError('http_failed', `status must be available, but is ${volume.status}`, {
          status: 400,
        }),
      );
    volume.status = this.isWatched(id) ? 'error_deleting' : 'deleting';
    return Promise.resolve();
  }

  multiattachTypes(): Promise<readonly string[]> {
    return Promise.resolve(this.types);
  }
}
