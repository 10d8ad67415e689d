import type { CephLibrary } from '../../ceph/library.js';
import { CinderfsError } from '../../errors.js';
import type { SharedImages } from './shared-images.js';

export interface WorkerImagesParts {
  readonly images: SharedImages;
  readonly workerId: number;
  readonly library: () => Pick<CephLibrary, 'readSync'> | undefined;
  /** We were inside of an image that is to be closed; now we are not. */
  readonly left: (place: number) => void;
}

/** The RBD images that one worker reads, through handles that belong to the main thread. */
export class WorkerImages {
  readonly #parts: WorkerImagesParts;

  constructor(parts: WorkerImagesParts) {
    this.#parts = parts;
  }

  /**
   * Reads [offset, offset + length) into `memory` at `at`, which it returns.
   *
   * @throws CinderfsError `read_failed`.
   */
  read(place: number, memory: Buffer, at: number, offset: number, length: number): number {
    const { images, workerId, library, left } = this.#parts;
    const reader = library();
    if (reader === undefined) throw new CinderfsError('read_failed', 'librbd is not installed');
    try {
      const handle = images.enter(place, workerId);
      if (handle === undefined) throw new CinderfsError('read_failed', 'the RBD image was closed');
      reader.readSync(handle, offset, memory.subarray(at, at + length));
      return at;
    } finally {
      if (!images.leave(place, workerId)) left(place);
    }
  }
}
