import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { reasonOf } from '../../errors.js';
import { keepDirectory, unusable } from '../../sys/files/kept-directory.js';
import { distrust } from '../../sys/files/trusted-path.js';

const { O_WRONLY, O_APPEND, O_CREAT, O_NOCTTY, O_NONBLOCK } = constants;

/**
 * Opens the log of a daemon to append to; the caller closes it. It is a file of this user, or a device such as
 * /dev/null, in a place where other users can put nothing else; a group of the system may write beside it, as in
 * Ubuntu's /var/log.
 *
 * @throws CinderfsError `path_unusable`.
 */
export async function openLogFile(file: string): Promise<FileHandle> {
  keepDirectory({ setting: 'log_file', path: path.dirname(file), value: file, mode: 0o755, groups: true });
  const danger = distrust(file, { groups: true });
  if (danger !== undefined) throw unusable('log_file', file, `is not safe to write to: ${danger}`);
  let log: FileHandle;
  try {
    // O_NONBLOCK: the open of a FIFO without a reader would wait; with it, the FIFO is refused.
    log = await open(file, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK, 0o640);
  } catch (cause) {
    throw unusable('log_file', file, `cannot be opened: ${reasonOf(cause)}`, { cause });
  }
  const why = await refusal(log);
  if (why === undefined) return log;
  await log.close();
  throw unusable('log_file', file, why);
}

/** Asked of what is open: a name may have changed hands meanwhile. */
async function refusal(log: FileHandle): Promise<string | undefined> {
  const found = await log.stat();
  if (![0, process.geteuid?.()].includes(found.uid)) return `belongs to user ${found.uid}`;
  if (found.isCharacterDevice()) return undefined;
  if (!found.isFile()) return 'is not a regular file';
  return found.nlink > 1 ? 'has another name as well (a hard link)' : undefined;
}
