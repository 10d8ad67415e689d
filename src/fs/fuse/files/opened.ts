import type { OpenFile } from '../../contract/filesystem.js';
import type { Descriptor } from './descriptors.js';

/** One open file as the kernel knows it (`fh`), and what serves it. */
export interface Opened {
  readonly fh: number;
  readonly file: OpenFile;
  readonly descriptor: Descriptor | undefined;
  readonly backingId: number | undefined;
  /** The uid that opened it. */
  readonly uid: number;
}
