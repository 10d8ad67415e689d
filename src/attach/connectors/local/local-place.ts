import type { FileHandle } from 'node:fs/promises';
import { CinderfsError, reasonOf } from '../../../errors.js';
import { openNamed } from '../../../sys/files/beneath.js';
import { openFreeDisk, requireFreeDisk } from './host-disk.js';

/** Where a volume is on this host: a disk, or a regular file below a directory. */
export interface LocalPlace {
  readonly path: string;
  readonly beneath?: string | undefined;
}

/**
 * What an absolute path that Cinder names may be: a file below one of `directories`, which the configuration names, or a
 * disk that this host does not use itself. `connector_failed` otherwise. That a file is one, and no link, is checked by the code that
 * opens it (sys/files/beneath.ts).
 */
export async function localPlaceOf(path: string, directories: readonly string[]): Promise<LocalPlace> {
  const beneath = directories
    .map((directory) => directory.replace(/\/+$/, ''))
    .find((directory) => directory !== '' && path.startsWith(`${directory}/`));
  if (beneath !== undefined) return { path, beneath };
  if (path.startsWith('/dev/')) {
    await requireFreeDisk(path);
    return { path };
  }
  throw new CinderfsError('connector_failed', `${path} is not below a directory of local_directories`, {
    path,
    remedy:
      'If Cinder keeps volumes as files of this host there, name the directory in local_directories; else find out what changed the answer of Cinder.',
  });
}

/** Opens it for reading, once it is what localPlaceOf() says. `connector_failed` otherwise. */
export async function openPlace({ path, beneath }: LocalPlace): Promise<FileHandle> {
  if (beneath === undefined) return openFreeDisk(path);
  return openNamed({ path, beneath }).catch((cause: unknown) => {
    throw new CinderfsError('connector_failed', `cannot read ${path}: ${reasonOf(cause)}`, { path, cause });
  });
}
