import { CinderfsError } from '../../../errors.js';

const ROOT_UID = 0;

/**
 * How many files and directories each user has open: a user that may open one may otherwise open as many as its own
 * RLIMIT_NOFILE and number of processes allow, and each takes memory of this process. Root is not limited.
 */
export class HandleQuota {
  readonly #limit: number;
  readonly #open = new Map<number, number>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * One more of that user; every call that returns is followed by one `give`.
   *
   * @throws CinderfsError `too_many_handles`.
   */
  take(uid: number): void {
    if (!this.allows(uid))
      throw new CinderfsError(
        'too_many_handles',
        `user ${uid} has ${this.#limit} files and directories open`,
      );
    this.adopt(uid);
  }

  /** Whether that user may open one more. */
  allows(uid: number): boolean {
    return uid === ROOT_UID || this.of(uid) < this.#limit;
  }

  /** Counts one that is open already, whatever the limit. */
  adopt(uid: number): void {
    this.#open.set(uid, this.of(uid) + 1);
  }

  give(uid: number): void {
    const left = this.of(uid) - 1;
    if (left > 0) this.#open.set(uid, left);
    else this.#open.delete(uid);
  }

  of(uid: number): number {
    return this.#open.get(uid) ?? 0;
  }
}
