import { isDeepStrictEqual } from 'node:util';
import { backoffDelay, type BackoffPolicy } from '../async/backoff.js';
import type { Clock } from '../async/clock.js';
import { withDeadline } from '../async/deadline.js';
import { CinderfsError } from '../errors.js';
import type { Log } from '../log.js';
import { joinCatalog, unplaced } from './catalog-join.js';
import { LocationLookup } from './catalog-locations.js';
import type { Images } from './images.js';
import type { Catalog, CatalogImage, CatalogSnapshot } from './types.js';
import type { VolumesClient } from './volumes.js';

export interface CatalogOptions {
  readonly images: Pick<Images, 'list' | 'locations'>;
  readonly volumes: Pick<VolumesClient, 'list'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Milliseconds between refreshes. */
  readonly ttlMs: number;
  /** Milliseconds between refreshes that are asked for. */
  readonly minRefreshIntervalMs?: number;
}

const MIN_REFRESH_INTERVAL_MS = 2000;
const REFRESH_TIMEOUT_MS = 120_000;
const RETRY: BackoffPolicy = { baseMs: 2000, capMs: 60_000 };

type Listener = (snapshot: CatalogSnapshot, previous: CatalogSnapshot) => void;

/**
 * The images that can be served, as of the last refresh. A refresh that fails changes nothing: the old snapshot stays
 * until OpenStack answers again.
 */
export class ImageCatalog implements Catalog {
  readonly #options: CatalogOptions;
  readonly #minIntervalMs: number;
  readonly #lookup: LocationLookup;
  readonly #listeners = new Set<Listener>();
  #disputes: ReadonlySet<string> = new Set();
  readonly #stopping = new AbortController();
  #snapshot: CatalogSnapshot = { generation: 0, at: 0, images: new Map() };
  #running: Promise<CatalogSnapshot> | undefined;
  #startedAt = -Infinity;
  #failures = 0;
  #lastError: CinderfsError | undefined;
  #cancelTimer: () => void = () => undefined;
  #background = false;

  constructor(options: CatalogOptions) {
    this.#options = options;
    this.#minIntervalMs = options.minRefreshIntervalMs ?? MIN_REFRESH_INTERVAL_MS;
    this.#lookup = new LocationLookup(options.images, options.log);
  }

  get snapshot(): CatalogSnapshot {
    return this.#snapshot;
  }

  /** Why the last refresh failed; undefined if it did not. */
  get lastError(): CinderfsError | undefined {
    return this.#lastError;
  }

  /** The first snapshot, or the error that prevents it; from then on refreshes in the background until stop(). */
  async start(): Promise<CatalogSnapshot> {
    const snapshot = await this.#refreshNow();
    this.#background = true;
    this.#schedule();
    return snapshot;
  }

  /** Goes on from the snapshot of an earlier process: refreshes in the background, and waits for nothing. */
  resume(snapshot: CatalogSnapshot): void {
    this.#snapshot = snapshot;
    this.#background = true;
    // Failures are logged where they happen.
    this.#refreshNow().catch(() => undefined);
  }

  /** Ends the background refresh and the one that runs. Idempotent. */
  stop(): void {
    this.#background = false;
    this.#cancelTimer();
    this.#stopping.abort(new CinderfsError('interrupted', 'the catalog is stopped'));
  }

  /** See Catalog. Throws what the refresh failed of, unless that was just now and there is a snapshot. */
  async refresh({ signal }: { readonly signal?: AbortSignal } = {}): Promise<CatalogSnapshot> {
    const recent = (): boolean => this.#options.clock.now() - this.#startedAt < this.#minIntervalMs;
    if (this.#running !== undefined && !recent()) {
      // It began before the question was asked and may miss the answer; how it ends is for those who asked then.
      await this.#wait(this.#running, signal).catch((error: unknown) => {
        if (signal?.aborted === true) throw error;
      });
    }
    if (this.#running !== undefined) return this.#wait(this.#running, signal);
    if (recent() && this.#snapshot.generation > 0) return this.#snapshot;
    return this.#wait(this.#refreshNow(), signal);
  }

  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #refreshNow(): Promise<CatalogSnapshot> {
    this.#startedAt = this.#options.clock.now();
    this.#running = this.#refresh().finally(() => {
      this.#running = undefined;
      this.#schedule();
    });
    return this.#running;
  }

  async #refresh(): Promise<CatalogSnapshot> {
    try {
      this.#publish(await this.#read(this.#stopping.signal));
      this.#succeed();
      return this.#snapshot;
    } catch (thrown) {
      const error = CinderfsError.from(thrown);
      this.#fail(error);
      throw error;
    }
  }

  async #read(signal: AbortSignal): Promise<ReadonlyMap<string, CatalogImage>> {
    const [images, volumes] = await Promise.all([
      this.#options.images.list({ signal }),
      this.#options.volumes.list({ signal }),
    ]);
    const lookedUp = await this.#lookup.of(unplaced(images, volumes), signal);
    const joined = joinCatalog({ images, volumes, lookedUp });
    for (const { imageId, volumeId } of joined.disputed) this.#warnOfDispute(imageId, volumeId);
    this.#disputes = new Set(joined.disputed.map(({ imageId }) => imageId));
    return joined.images;
  }

  /** Makes `images` the snapshot; entries that did not change stay the same objects. */
  #publish(images: ReadonlyMap<string, CatalogImage>): void {
    const previous = this.#snapshot;
    let changed = images.size !== previous.images.size;
    const merged = new Map<string, CatalogImage>();
    for (const [id, image] of images) {
      const before = previous.images.get(id);
      const same = before !== undefined && isSame(before, image);
      changed ||= !same;
      merged.set(id, same ? before : image);
    }
    this.#snapshot = Object.freeze({
      generation: previous.generation + 1,
      at: this.#options.clock.wall(),
      images: changed ? merged : previous.images,
    });
    if (changed) this.#tell(previous);
  }

  #tell(previous: CatalogSnapshot): void {
    for (const listener of this.#listeners) {
      try {
        listener(this.#snapshot, previous);
      } catch (error) {
        this.#options.log.error({ err: error }, 'a listener of the catalog failed');
      }
    }
  }

  #succeed(): void {
    if (this.#failures > 0) {
      this.#options.log.info({ images: this.#snapshot.images.size }, 'the list of images is fresh again');
    }
    this.#failures = 0;
    this.#lastError = undefined;
  }

  #fail(error: CinderfsError): void {
    if (this.#failures === 0 && !this.#stopping.signal.aborted) {
      const { code, context } = error;
      this.#options.log.warn(
        { code, request_id: context.requestId, reason: error.message },
        'the list of images could not be refreshed; the old one is used, the refresh is repeated',
      );
    }
    this.#failures++;
    this.#lastError = error;
  }

  #schedule(): void {
    this.#cancelTimer();
    if (!this.#background) return;
    const { clock, ttlMs } = this.#options;
    const ms =
      this.#failures === 0
        ? ttlMs
        : Math.min(ttlMs, Math.max(this.#minIntervalMs, backoffDelay(RETRY, this.#failures - 1)));
    this.#cancelTimer = clock.after(ms, () => {
      // Failures are logged where they happen.
      if (this.#running === undefined) this.#refreshNow().catch(() => undefined);
    });
  }

  #warnOfDispute(imageId: string, volumeId: string): void {
    if (this.#disputes.has(imageId)) return;
    this.#options.log.warn(
      { image: imageId, volume: volumeId },
      'an image is not served: its location names a volume whose metadata names another image',
    );
  }

  #wait(work: Promise<CatalogSnapshot>, signal: AbortSignal | undefined): Promise<CatalogSnapshot> {
    return withDeadline(work, {
      clock: this.#options.clock,
      ms: REFRESH_TIMEOUT_MS,
      signal,
      onTimeout: () =>
        new CinderfsError('http_timeout', `the images were not listed within ${REFRESH_TIMEOUT_MS / 1000} s`),
    });
  }
}

function isSame(a: CatalogImage, b: CatalogImage): boolean {
  return (Object.keys(a) as (keyof CatalogImage)[]).every((key) => {
    const [left, right] = [a[key], b[key]];
    return isDeepStrictEqual(left, right);
  });
}
