import { CinderfsError } from '../errors.js';
import { Ranges } from './ranges.js';
import { ERROR_SHUTDOWN, errorName } from './protocol.js';

/** The connection went away before the answer came: the request may be sent again on another. */
export class ConnectionLost extends Error {
  override readonly name = 'ConnectionLost';
}

/** A stretch of an export in one state. */
export interface Extent {
  readonly length: number;
  readonly hole: boolean;
}

/** A request on its way: where its answer goes, and how much of it has come. */
export class Pending {
  readonly offset: number;
  readonly length: number;
  /** Clock.now() when it was sent. */
  readonly since: number;
  readonly answered: Promise<void>;
  /** Of the request, those that the server has sent or has begun to send. */
  readonly ranges = new Ranges();
  /** Block status, when that was asked for. */
  extents: Extent[] = [];
  readonly #buffers: readonly Buffer[];
  #covered = 0;
  #error = 0;
  #resolve: () => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;

  /** `buffers` take the data one after the other; all but the last are of one size. Empty for block status. */
  constructor(offset: number, length: number, buffers: readonly Buffer[], since: number) {
    this.offset = offset;
    this.length = length;
    this.since = since;
    this.#buffers = buffers;
    this.answered = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  get isRead(): boolean {
    return this.#buffers.length > 0;
  }

  /** The place for bytes `at` (from the request's start) on: as many as lie together, `length` at most. */
  window(at: number, length: number): Buffer {
    const size = this.#buffers[0]?.length ?? 1;
    const start = at % size;
    return (this.#buffers[Math.floor(at / size)] ?? EMPTY).subarray(start, start + length);
  }

  /** So many bytes have been put into their windows. */
  cover(length: number): void {
    this.#covered += length;
  }

  /** Bytes `at` on are zeroes that were not sent. */
  zero(at: number, length: number): void {
    for (let done = 0; done < length;) {
      const window = this.window(at + done, length - done);
      window.fill(0);
      done += window.length;
    }
    this.cover(length);
  }

  /** The server reported an error; the last chunk is still to come. */
  fail(error: number): void {
    this.#error ||= error;
  }

  /** The last of the answer has come. */
  finish(): void {
    if (this.#error === ERROR_SHUTDOWN) this.abandon(new ConnectionLost('the server is shutting down'));
    else if (this.#error !== 0) this.abandon(failed(`answered ${errorName(this.#error)}`, this));
    else if (this.isRead && this.#covered !== this.length) this.abandon(failed('left bytes out', this));
    else this.#resolve();
  }

  /** No answer will come. */
  abandon(error: Error): void {
    this.#reject(error);
  }
}

const EMPTY = Buffer.alloc(0);

function failed(why: string, { offset, length }: Pending): CinderfsError {
  return new CinderfsError('read_failed', `the NBD server ${why} for ${length} bytes at ${offset}`);
}
