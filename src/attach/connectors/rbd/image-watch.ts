import type { Clock } from '../../../async/clock.js';
import type { RbdImage } from '../../../ceph/rbd-image.js';
import { CinderfsError } from '../../../errors.js';

const ASK_MS = 10_000;

/**
 * Notices that an image was deleted, or its name given to another one, while we have it open. Nothing of ours keeps its
 * owner from that (a watch would, and Cinder could then delete no volume after a crash of ours), and librbd goes on
 * reading: what is deleted reads as zeros.
 */
export class ImageWatch {
  readonly lost: AbortSignal;
  readonly #lost = new AbortController();
  readonly #image: Pick<RbdImage, 'id' | 'currentId'>;
  readonly #name: string;
  readonly #clock: Clock;
  #stop: () => void = () => undefined;
  #stopped = false;

  constructor(image: Pick<RbdImage, 'id' | 'currentId'>, name: string, clock: Clock) {
    this.lost = this.#lost.signal;
    this.#image = image;
    this.#name = name;
    this.#clock = clock;
    this.#wait();
  }

  stop(): void {
    this.#stopped = true;
    this.#stop();
  }

  #wait(): void {
    if (!this.#stopped) this.#stop = this.#clock.after(ASK_MS, () => void this.#ask());
  }

  /** A cluster that does not answer serves no byte either: it is asked again until it does. */
  async #ask(): Promise<void> {
    const id = await this.#image.currentId().catch(() => this.#image.id);
    if (this.#stopped || id === this.#image.id) {
      this.#wait();
      return;
    }
    const what = id === undefined ? 'does not exist any more' : 'is another image now';
    this.stop();
    this.#lost.abort(new CinderfsError('identity_mismatch', `the RBD image ${this.#name} ${what}`));
  }
}
