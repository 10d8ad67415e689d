/**
 * RBD images that workers read by librbd, in memory that every thread sees: the address of each image's handle, and which worker
 * is inside a call with it.
 *
 * A handle that is closed under a reader is a crash of the process, not an error. So a worker says that it is inside
 * before it looks whether the image is still here; the main thread first takes the image out, and closes the handle
 * when no worker is inside any more. Both are sequentially consistent: one of the two sees the other.
 *
 * An image is known by its place: generation * PLACES + index. A place that was used again has another generation, so
 * that a late reader never reads another image. Index 0 is never in use: place 0 stands for "no image".
 */
const PLACES = 1024;
/** Places stay below 2^31. */
const GENERATIONS = 2 ** 20;
const OUTSIDE = 0;
const INSIDE = 1;

export class SharedImages {
  readonly memory: SharedArrayBuffer;
  readonly #workers: number;
  readonly #handles: Float64Array;
  /** The place that is in use at each index; 0 for none. */
  readonly #places: Int32Array;
  readonly #inside: Int32Array;
  readonly #generations = new Map<number, number>();
  readonly #free: number[] = [];
  /** By index: what is called once no worker is inside. */
  readonly #withdrawn = new Map<number, () => void>();
  #next = 1;

  /** For `workers` workers; `memory` joins the images of another thread. */
  constructor(workers: number, memory = new SharedArrayBuffer(PLACES * (8 + 4 + 4 * workers))) {
    this.memory = memory;
    this.#workers = workers;
    this.#handles = new Float64Array(memory, 0, PLACES);
    this.#places = new Int32Array(memory, this.#handles.byteLength, PLACES);
    this.#inside = new Int32Array(memory, this.#handles.byteLength + this.#places.byteLength);
  }

  /** Main: a place for the image with this handle; undefined when there is none left. */
  publish(handle: number): number | undefined {
    const index = this.#free.pop() ?? (this.#next < PLACES ? this.#next++ : undefined);
    if (index === undefined) return undefined;
    const generation = ((this.#generations.get(index) ?? 0) + 1) % GENERATIONS;
    this.#generations.set(index, generation);
    const place = generation * PLACES + index;
    this.#handles[index] = handle;
    Atomics.store(this.#places, index, place);
    return place;
  }

  /** Main: no worker enters that image any more; `onEmpty` is called once no worker is inside, now or later. */
  withdraw(place: number, onEmpty: () => void): void {
    const index = place % PLACES;
    Atomics.store(this.#places, index, 0);
    this.#withdrawn.set(index, onEmpty);
    this.#settle(index);
  }

  /**
   * Main: a worker left an image that was withdrawn meanwhile. One that came with an old place was inside of whatever is
   * at its index now, and may be the last that this one waits for.
   */
  settle(place: number): void {
    this.#settle(place % PLACES);
  }

  #settle(index: number): void {
    const onEmpty = this.#withdrawn.get(index);
    if (onEmpty === undefined || this.#occupied(index)) return;
    this.#withdrawn.delete(index);
    this.#free.push(index);
    onEmpty();
  }

  /** Main: the thread of that worker has ended, so it is inside of nothing. */
  vacate(workerId: number): void {
    for (let index = 0; index < this.#next; index += 1)
      Atomics.store(this.#inside, index * this.#workers + workerId, OUTSIDE);
    for (const index of [...this.#withdrawn.keys()]) this.#settle(index);
  }

  /** Worker: the handle, to be used until leave(); undefined when it was withdrawn. Every call is followed by leave(). */
  enter(place: number, workerId: number): number | undefined {
    const index = place % PLACES;
    Atomics.store(this.#inside, index * this.#workers + workerId, INSIDE);
    return Atomics.load(this.#places, index) === place ? this.#handles[index] : undefined;
  }

  /** Worker: false when the image was withdrawn meanwhile, which the main thread is to be told. */
  leave(place: number, workerId: number): boolean {
    const index = place % PLACES;
    Atomics.store(this.#inside, index * this.#workers + workerId, OUTSIDE);
    return Atomics.load(this.#places, index) === place;
  }

  #occupied(index: number): boolean {
    const at = index * this.#workers;
    for (let workerId = 0; workerId < this.#workers; workerId += 1)
      if (Atomics.load(this.#inside, at + workerId) !== OUTSIDE) return true;
    return false;
  }
}
