import { CinderfsError } from '../../../errors.js';
import type { Filesystem, OpenFile } from '../../contract/filesystem.js';

/** Gives a file back that could not be made ready for its reader. */
export function giveBack(
  filesystem: Pick<Filesystem, 'readFailed' | 'release'>,
  { handle }: OpenFile,
  thrown: unknown,
): void {
  if (CinderfsError.is(thrown) && thrown.code === 'read_failed') filesystem.readFailed(handle, thrown);
  filesystem.release(handle);
}
