import { isDeepStrictEqual } from 'node:util';
import { backoffDelay, type BackoffPolicy } from '../../async/backoff.js';
import type { Clock } from '../../async/clock.js';
import { withDeadline } from '../../async/deadline.js';
import { CinderfsError } from '../../errors.js';
import type { Log } from '../../log.js';
import { joinCatalog, type Refusal, unplaced } from './catalog-join.js';
import { LocationLookup } from './catalog-locations.js';
import { Refusals } from './catalog-refusals.js';
import { CatalogSearch } from './catalog-search.js';
import type { ImageListOptions, Images, ListedImage } from '../glance/images.js';
import type {
  Catalog,
  CatalogHealth,
  CatalogImage,
  CatalogSnapshot,
  WantedImage,
} from '../contract/catalog.js';
import type { VolumesClient } from '../volumes/volumes.js';

export interface CatalogOptions {
  readonly images: Pick<Images, 'list' | 'locations' | 'show' | 'named'>;
  readonly volumes: Pick<VolumesClient, 'list' | 'claiming'>;
  /** Which images are served; all when absent. */
  readonly served?: (() => Promise<(image: ListedImage) => boolean>) | undefined;
  /** What Glance lists only on request. */
  readonly also?: ImageListOptions['also'];
  readonly clock: Clock;
  readonly log: Log;
  /** Milliseconds between refreshes. */
  readonly ttlMs: number;
  /** Milliseconds between refreshes that are asked for. */
  readonly minRefreshIntervalMs?: number;
}

const MIN_REFRESH_INTERVAL_MS = 2000;
const REFRESH_TIMEOUT_MS = 120_000;
/** A refresh is ended after this time, also while callers wait for it. */
const LISTING_MS = 300_000;
/** The time between two refreshes is this many times what the last one took, at least. */
const SHARE = 4;
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
  readonly #search: CatalogSearch;
  readonly #refusals: Refusals;
  /** Found one by one since the listing that runs began: it may miss them. */
  readonly #found = new Map<string, { readonly image: CatalogImage; readonly at: number }>();
  #skipped = 0;
  #failingSince: number | undefined;
  #tookMs = 0;
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
    this.#search = new CatalogSearch(options);
    this.#refusals = new Refusals(options.log);
  }

  get snapshot(): CatalogSnapshot {
    return this.#snapshot;
  }

  /** Why the last refresh failed; undefined if it did not. */
  get lastError(): CinderfsError | undefined {
    return this.#lastError;
  }

  get health(): CatalogHealth {
    const { size: refused } = this.#refusals;
    return { lastError: this.#lastError, failingSince: this.#failingSince, skipped: this.#skipped, refused };
  }

  /** Images that the last listing refused, and why. */
  get refused(): readonly Refusal[] {
    return this.#refusals.all;
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
      // It began before the question was asked and may miss the answer; its result is for the callers of that time.
      await this.#wait(this.#running, signal).catch((error: unknown) => {
        if (signal?.aborted === true) throw error;
      });
    }
    if (this.#running !== undefined) return this.#wait(this.#running, signal);
    if (recent() && this.#snapshot.generation > 0) return this.#snapshot;
    return this.#wait(this.#refreshNow(), signal);
  }

  async find(
    wanted: WantedImage,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    const input = await this.#wait(this.#search.find(wanted, this.#stopping.signal), signal);
    if (input === undefined) return;
    const { images } = joinCatalog({ ...input, images: await this.#servedOf(input.images) });
    const at = this.#options.clock.now();
    for (const [id, image] of images) this.#found.set(id, { image, at });
    if (images.size > 0) this.#publish(new Map([...this.#snapshot.images, ...images]), this.#snapshot.at);
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
    const began = this.#startedAt;
    const expiry = new AbortController();
    const stop = this.#options.clock.after(LISTING_MS, () => expiry.abort(tooLong(LISTING_MS)));
    try {
      const listed = await this.#read(AbortSignal.any([this.#stopping.signal, expiry.signal]));
      this.#publish(this.#withFound(listed, began), this.#options.clock.wall());
      this.#succeed();
      return this.#snapshot;
    } catch (thrown) {
      const error = expiry.signal.aborted ? tooLong(LISTING_MS) : CinderfsError.from(thrown);
      this.#fail(error);
      throw error;
    } finally {
      stop();
      this.#tookMs = this.#options.clock.now() - began;
    }
  }

  async #read(signal: AbortSignal): Promise<ReadonlyMap<string, CatalogImage>> {
    let skipped = 0;
    const onSkipped = (count: number): void => void (skipped += count);
    const [listed, volumes] = await Promise.all([
      this.#options.images.list({ signal, onSkipped, also: this.#options.also }),
      this.#options.volumes.list({ signal, onSkipped }),
    ]);
    if (skipped > 0) this.#options.log.debug({ skipped }, 'entries of a listing could not be understood');
    this.#skipped = skipped;
    const images = await this.#servedOf(listed);
    const lookedUp = await this.#lookup.of(unplaced(images, volumes), signal);
    const joined = joinCatalog({ images, volumes, lookedUp });
    this.#refusals.replace(joined.refused);
    return joined.images;
  }

  async #servedOf(images: readonly ListedImage[]): Promise<readonly ListedImage[]> {
    const served = await this.#options.served?.();
    return served === undefined ? images : images.filter(served);
  }

  /** A listing that began before an image was found says nothing about it. */
  #withFound(listed: ReadonlyMap<string, CatalogImage>, began: number): ReadonlyMap<string, CatalogImage> {
    const images = new Map(listed);
    for (const [id, { image, at }] of this.#found) {
      if (at < began) this.#found.delete(id);
      else if (!images.has(id)) images.set(id, image);
    }
    return images;
  }

  /** Makes `images` the snapshot; entries that did not change stay the same objects. */
  #publish(images: ReadonlyMap<string, CatalogImage>, at: number): void {
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
      at,
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
    this.#failingSince = undefined;
    this.#lastError = undefined;
  }

  #fail(error: CinderfsError): void {
    if (this.#failures === 0 && !this.#stopping.signal.aborted) {
      const { code, context } = error;
      this.#options.log.warn(
        { code, request_id: context.requestId, reason: error.message },
        'image list refresh failed; serving previous list',
      );
    }
    this.#failures++;
    this.#failingSince ??= this.#options.clock.wall();
    this.#lastError = error;
  }

  #schedule(): void {
    this.#cancelTimer();
    if (!this.#background) return;
    const { clock, ttlMs } = this.#options;
    const ms =
      this.#failures === 0
        ? Math.max(ttlMs, this.#tookMs * SHARE)
        : Math.min(ttlMs, Math.max(this.#minIntervalMs, backoffDelay(RETRY, this.#failures - 1)));
    this.#cancelTimer = clock.after(ms, () => {
      // Failures are logged where they happen.
      if (this.#running === undefined) this.#refreshNow().catch(() => undefined);
    });
  }

  #wait<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    return withDeadline(work, {
      clock: this.#options.clock,
      ms: REFRESH_TIMEOUT_MS,
      signal,
      onTimeout: () => tooLong(REFRESH_TIMEOUT_MS),
    });
  }
}

function tooLong(ms: number): CinderfsError {
  return new CinderfsError('http_timeout', `the images were not listed within ${ms / 1000} s`);
}

function isSame(a: CatalogImage, b: CatalogImage): boolean {
  return (Object.keys(a) as (keyof CatalogImage)[]).every((key) => {
    const [left, right] = [a[key], b[key]];
    return isDeepStrictEqual(left, right);
  });
}
