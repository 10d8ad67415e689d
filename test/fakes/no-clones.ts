import type { Clones } from '../../src/cinder/contract/volumes.js';
import { CinderfsError } from '../../src/errors.js';

/** A cloud in which nobody may clone. */
export const noClones: Clones = {
  create: () => Promise.reject(new CinderfsError('forbidden', 'no clones here', { status: 403 })),
  named: () => Promise.resolve([]),
  delete: () => Promise.resolve(),
  multiattachTypes: () => Promise.resolve([]),
};
