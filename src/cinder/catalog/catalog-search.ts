import { LRUCache } from 'lru-cache';
import type { Clock } from '../../async/clock.js';
import { SingleFlight } from '../../async/single-flight.js';
import type { JoinInput } from './catalog-join.js';
import type { Images, ListedImage } from '../glance/images.js';
import type { WantedImage } from '../contract/catalog.js';
import type { VolumesClient } from '../volumes/volumes.js';

/** Questions that may come at once, and the milliseconds after which there may be one more. */
const BURST = 10;
const REFILL_MS = 5_000;
/** The time between two questions is this many times what one takes: a cloud that is slow is asked more rarely. */
const SHARE = 25;
/** The same question is not asked again for this long. */
const FORGET_MS = 30_000;
/** Namesakes that are looked at. */
const NAMESAKES = 4;

export interface SearchOptions {
  readonly images: Pick<Images, 'show' | 'named' | 'locations'>;
  readonly volumes: Pick<VolumesClient, 'claiming'>;
  readonly clock: Clock;
}

/**
 * Looks for single images. Each lookup of an unknown name on the mount asks here, so the rate is bounded in all, not for each
 * name or user: at most BURST questions at once and one more every 5 s or 25 times what the last one took.
 */
export class CatalogSearch {
  readonly #options: SearchOptions;
  readonly #running = new SingleFlight<string, JoinInput | undefined>();
  readonly #asked: LRUCache<string, number>;
  #credit = BURST;
  #creditAt: number;
  #refillMs = REFILL_MS;

  constructor(options: SearchOptions) {
    this.#options = options;
    this.#asked = new LRUCache({ max: 1024 });
    this.#creditAt = options.clock.now();
  }

  /** What is found, to be joined; undefined when nothing is, or when it is not asked. */
  find(wanted: WantedImage, signal: AbortSignal): Promise<JoinInput | undefined> {
    const key = JSON.stringify(wanted);
    return this.#running.run(key, async () => {
      if (!this.#mayAsk(key)) return undefined;
      const began = this.#options.clock.now();
      try {
        return await this.#ask(wanted, signal);
      } finally {
        this.#refillMs = Math.max(REFILL_MS, (this.#options.clock.now() - began) * SHARE);
      }
    });
  }

  #mayAsk(key: string): boolean {
    const now = this.#options.clock.now();
    if (now - (this.#asked.get(key) ?? -Infinity) < FORGET_MS) return false;
    const earned = Math.floor((now - this.#creditAt) / this.#refillMs);
    if (earned > 0) {
      this.#credit = Math.min(BURST, this.#credit + earned);
      this.#creditAt = this.#credit === BURST ? now : this.#creditAt + earned * this.#refillMs;
    }
    if (this.#credit === 0) return false;
    if (this.#credit === BURST) this.#creditAt = now;
    this.#credit--;
    this.#asked.set(key, now);
    return true;
  }

  async #ask(wanted: WantedImage, signal: AbortSignal): Promise<JoinInput | undefined> {
    const { images, volumes } = this.#options;
    const found =
      'id' in wanted
        ? [await images.show(wanted.id, { signal })]
        : (await Promise.all(wanted.names.map((name) => images.named(name, { signal })))).flat();
    const some = found.filter((image): image is ListedImage => image !== undefined).slice(0, NAMESAKES);
    if (some.length === 0) return undefined;
    const claims = await Promise.all(some.map(({ id }) => volumes.claiming(id, { signal })));
    return { images: some, volumes: claims.flat(), lookedUp: new Map() };
  }
}
