import { withDeadline } from '../../async/deadline.js';
import type { Clock } from '../../async/clock.js';
import { CinderfsError } from '../../errors.js';
import type { Log } from '../../log.js';
import type { Connected } from '../connection/connector.js';
import type { AttachableImage } from '../contract/lease.js';
import { readHead } from './head-bytes.js';
import { judgeHead, type Verdict } from './verdict.js';

/** What is done about an image that leads programs astray. */
export type ImageSafety = 'refuse' | 'warn' | 'off';

export interface ImageHeadsOptions {
  readonly safety: ImageSafety;
  /** One look takes this long at most, in milliseconds. */
  readonly lookMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** Verdicts kept; the oldest goes first, and costs one look more. */
const KEPT = 10_000;

/**
 * The look at the head of every image before its first lease is handed out: once per content, at its first open.
 */
export class ImageHeads {
  readonly #options: ImageHeadsOptions;
  readonly #verdicts = new Map<string, { readonly key: string; readonly verdict: Verdict }>();
  readonly #looks = new Map<string, Promise<Verdict>>();

  constructor(options: ImageHeadsOptions) {
    this.#options = options;
  }

  /** Throws `image_unsafe` for an image that was found unsafe before: nothing is attached for it. */
  refuseKnown(image: AttachableImage): void {
    const dangers = this.#known(image)?.dangers ?? [];
    if (dangers.length > 0 && this.#options.safety === 'refuse') throw unsafe(image, dangers);
  }

  /**
   * Resolves where the image may be opened. Rejects with `image_unsafe` where it may not, and as the connection does
   * when it cannot be read. `connected` was proven to be the image's volume.
   */
  async admit(image: AttachableImage, connected: Connected): Promise<void> {
    const { safety } = this.#options;
    if (safety === 'off') return;
    const { dangers } = this.#known(image) ?? (await this.#look(image, connected));
    if (dangers.length > 0 && safety === 'refuse') throw unsafe(image, dangers);
  }

  /** What was found of that image, for `user.cinderfs.safety`; undefined before the first look. */
  verdictOf(imageId: string): string | undefined {
    const verdict = this.#verdicts.get(imageId)?.verdict;
    if (verdict === undefined) return undefined;
    return verdict.dangers.length === 0
      ? `safe: ${verdict.content}`
      : `unsafe: ${verdict.dangers.join('; ')}`;
  }

  #known(image: AttachableImage): Verdict | undefined {
    const known = this.#verdicts.get(image.id);
    return known?.key === keyOf(image) ? known.verdict : undefined;
  }

  /** Openers that come together share one look. */
  #look(image: AttachableImage, connected: Connected): Promise<Verdict> {
    const key = keyOf(image);
    const look = this.#looks.get(key) ?? this.#judge(image, connected, key);
    this.#looks.set(key, look);
    return look.finally(() => {
      if (this.#looks.get(key) === look) this.#looks.delete(key);
    });
  }

  async #judge(image: AttachableImage, connected: Connected, key: string): Promise<Verdict> {
    const { clock, lookMs, log } = this.#options;
    const bytes = await withDeadline(readHead(connected, image.size), {
      clock,
      ms: lookMs,
      onTimeout: () =>
        new CinderfsError('connector_failed', `the head of image ${image.id} cannot be read`, {
          image: image.id,
          volume: image.volumeId,
        }),
    });
    const verdict = judgeHead(bytes, {
      diskFormat: image.diskFormat,
      containerFormat: image.containerFormat ?? 'bare',
    });
    this.#keep(image.id, key, verdict);
    const { content, dangers } = verdict;
    if (dangers.length > 0)
      log.warn(
        { image: image.id, name: image.name, diskFormat: image.diskFormat, content, dangers },
        'an image may lead programs that open it astray',
      );
    return verdict;
  }

  #keep(imageId: string, key: string, verdict: Verdict): void {
    this.#verdicts.delete(imageId);
    this.#verdicts.set(imageId, { key, verdict });
    const [oldest] = this.#verdicts.keys();
    if (this.#verdicts.size > KEPT && oldest !== undefined) this.#verdicts.delete(oldest);
  }
}

/** Everything that a verdict depends on. */
function keyOf({ id, volumeId, size, diskFormat, containerFormat, hashValue }: AttachableImage): string {
  return JSON.stringify([id, volumeId, size, diskFormat, containerFormat, hashValue]);
}

function unsafe({ id, diskFormat, volumeId }: AttachableImage, dangers: readonly string[]): CinderfsError {
  return new CinderfsError(
    'image_unsafe',
    `the image (disk_format ${diskFormat}) is not safe to open: ${dangers.join('; ')}`,
    { image: id, volume: volumeId },
  );
}
