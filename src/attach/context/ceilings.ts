import { CinderfsError } from '../../errors.js';
import type { AttachableImage } from '../contract/lease.js';

/** How many volumes may be attached, so that one reader cannot take all of the cloud for itself. */
export interface Ceilings {
  /** On this host, of all readers. */
  readonly perHost: number;
  /** For one user other than root. */
  readonly perUser: number;
  /** Of those, volumes that no other host can use meanwhile: not multiattach, and not read through a clone. */
  readonly singlePerUser: number;
}

export const DEFAULT_CEILINGS: Ceilings = { perHost: 1024, perUser: 256, singlePerUser: 8 };

/** Which volumes each user has open or waits for. */
export class Users {
  readonly #ceilings: Ceilings;
  /** Uses per volume, by user; and which of the volumes are single. */
  readonly #uses = new Map<number, Map<string, { count: number; readonly single: boolean }>>();

  constructor(ceilings: Ceilings) {
    this.#ceilings = ceilings;
  }

  /**
   * Counts one use of the image's volume; the returned function ends it. Throws `too_many_attachments`. Root and openers
   * that are not known (files that an earlier engine had open) are not counted.
   */
  enter({ volumeId }: AttachableImage, uid: number | undefined, single: boolean): () => void {
    if (uid === undefined || uid === 0) return () => undefined;
    const volumes = this.#uses.get(uid) ?? new Map<string, { count: number; readonly single: boolean }>();
    const use = volumes.get(volumeId) ?? { count: 0, single };
    if (use.count === 0) this.#judge(uid, [...volumes.values()], single);
    this.#uses.set(uid, volumes);
    volumes.set(volumeId, use);
    use.count++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      use.count--;
      if (use.count === 0) volumes.delete(volumeId);
      if (volumes.size === 0) this.#uses.delete(uid);
    };
  }

  #judge(uid: number, used: readonly { readonly single: boolean }[], single: boolean): void {
    const { perUser, singlePerUser } = this.#ceilings;
    if (used.length >= perUser)
      throw tooMany(`user ${uid} reads ${used.length} volumes already`, 'attachments_per_user');
    const singles = used.filter((one) => one.single).length;
    if (single && singles >= singlePerUser)
      throw tooMany(
        `user ${uid} reads ${singles} volumes already that no other host can use meanwhile`,
        'exclusive_per_user',
      );
  }
}

/** `option` is the one that sets the ceiling. */
export function tooMany(why: string, option: string): CinderfsError {
  return new CinderfsError('too_many_attachments', why, {
    remedy: `Close files that are not needed, or raise ${option}.`,
  });
}
