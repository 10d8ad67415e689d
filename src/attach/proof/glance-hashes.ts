import { type Clock, sleep } from '../../async/clock.js';
import { withDeadline } from '../../async/deadline.js';
import type { ImageLookup } from '../../cinder/contract/images.js';
import { CinderfsError, reasonOf } from '../../errors.js';
import type { Log } from '../../log.js';
import type { AttachableImage } from '../contract/lease.js';

/** Glance is asked about one image so often at most, in milliseconds, however many wait for it. */
const POLL_MS = 1_000;
/** A hash that did not come for so long does not come any more: Glance gave up, or ended. Milliseconds. */
const HASHING_MS = 600_000;
/** Images remembered; the oldest goes first, and may be waited for once more. */
const KEPT = 1_000;

interface GlanceHashesOptions {
  readonly images: ImageLookup;
  readonly clock: Clock;
  readonly log: Log;
}

export interface HashWait {
  /** Of one opener, in milliseconds. */
  readonly ms: number;
  /** Aborts when the opener left. */
  readonly signal: AbortSignal | undefined;
  /** Aborts when nothing is to be attached any more. */
  readonly quit: AbortSignal;
}

interface Known {
  /** Clock.now() when its hash was first missed. */
  readonly since: number;
  asked: number;
  answer: Promise<AttachableImage>;
}

/**
 * Images that were registered with Glance's locations API are active before Glance has hashed them: it knows the
 * algorithm and not yet the value, and attaches the volume itself. A holder of a volume that is not multiattach meanwhile
 * robs the image of its checksum for ever: Glance tries for 24 s, then gives up.
 */
export class GlanceHashes {
  readonly #options: GlanceHashesOptions;
  readonly #known = new Map<string, Known>();

  constructor(options: GlanceHashesOptions) {
    this.#options = options;
  }

  /**
   * The image, as soon as Glance does not need its volume: at once where nothing is being hashed, else with the hash, or
   * ten minutes after the last change of the image. `attach_timeout` or `interrupted` when the wait ends before.
   */
  async settled(image: AttachableImage, { ms, signal, quit }: HashWait): Promise<AttachableImage> {
    if (!this.#isHashed(image)) return image;
    const { clock, log } = this.#options;
    log.info({ image: image.id, volume: image.volumeId }, 'waiting for Glance to hash an image');
    const left = new AbortController();
    try {
      return await withDeadline(this.#watch(image, AbortSignal.any([left.signal, quit])), {
        clock,
        ms,
        signal,
        onTimeout: () => stillHashed(image),
      });
    } finally {
      left.abort();
    }
  }

  async #watch(image: AttachableImage, stop: AbortSignal): Promise<AttachableImage> {
    for (let seen = image; ;) {
      seen = await this.#ask(seen);
      if (!this.#isHashed(seen)) return seen;
      await sleep(this.#options.clock, POLL_MS, stop).catch(() => undefined);
      if (stop.aborted) return seen;
    }
  }

  /** Glance reads the volume now, as far as is known. */
  #isHashed({ id, hashAlgorithm, hashValue, updatedAt }: AttachableImage): boolean {
    if (hashAlgorithm === undefined || hashValue !== undefined) {
      this.#known.delete(id);
      return false;
    }
    const { clock } = this.#options;
    const known = this.#known.get(id);
    // Our clock and Glance's may differ by more than all this: what we have waited ourselves counts as well.
    const waited = known === undefined ? 0 : clock.now() - known.since;
    const age = updatedAt === undefined ? 0 : clock.wall() - updatedAt.getTime();
    return Math.max(waited, age) < HASHING_MS;
  }

  /** The image as Glance has it now; as it was where Glance does not answer, or does not show it any more. */
  #ask(image: AttachableImage): Promise<AttachableImage> {
    const now = this.#options.clock.now();
    const known = this.#known.get(image.id);
    if (known !== undefined && now - known.asked < POLL_MS) return known.answer;
    const answer = this.#look(image);
    this.#known.set(image.id, { since: known?.since ?? now, asked: now, answer });
    const [oldest] = this.#known.keys();
    if (this.#known.size > KEPT && oldest !== undefined) this.#known.delete(oldest);
    return answer;
  }

  async #look(image: AttachableImage): Promise<AttachableImage> {
    try {
      const said = await this.#options.images.show(image.id);
      if (said === undefined) return image;
      // Not active any more: its hash comes with another life, if at all.
      const hashAlgorithm = said.status === 'active' ? said.hashAlgorithm : undefined;
      return { ...image, hashAlgorithm, hashValue: said.hashValue, updatedAt: said.updatedAt };
    } catch (error) {
      this.#options.log.debug(
        { image: image.id, reason: reasonOf(error) },
        'Glance does not say whether it still hashes an image',
      );
      return image;
    }
  }
}

function stillHashed({ id, volumeId }: AttachableImage): CinderfsError {
  return new CinderfsError(
    'attach_timeout',
    `Glance is computing the hash of image ${id} and needs volume ${volumeId} for that`,
    {
      image: id,
      volume: volumeId,
      remedy:
        'Open the image again when Glance shows its os_hash_value; ten minutes after its last change it is opened without.',
    },
  );
}
