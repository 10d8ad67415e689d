import type { RbdImages } from '../ceph/rbd-images.js';
import { deviceSource } from './device/device-source.js';
import { fileSource } from './file/file-source.js';
import { nbdSource } from './nbd/nbd-source.js';
import { rbdSource } from './rbd/rbd-source.js';
import type { Source } from './contract/source.js';
import { SourceKinds } from './source-kinds.js';

export interface SourceServices {
  /** The process's; without them RBD images cannot be read. */
  readonly rbdImages?: RbdImages | undefined;
}

/** Every kind of source there is: to add one, add its line. */
export function sourceKinds({ rbdImages }: SourceServices = {}): SourceKinds {
  return new SourceKinds([fileSource, deviceSource, nbdSource, rbdSource(rbdImages)]);
}

const DESCRIBED = sourceKinds();

/** The source in one word-like string, for logs and `cinderfs status`. Never holds a secret. */
export function describeSource(source: Source): string {
  return DESCRIBED.describe(source);
}
