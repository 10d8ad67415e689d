import { accessSync, constants, mkdirSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Config } from '../config/options.js';
import { CinderfsError, reasonOf } from '../errors.js';

/**
 * Makes the directories of a mount and proves that they can be written to, so that what is wrong with them is said
 * first, with the name of the setting.
 *
 * @throws CinderfsError `config_invalid`.
 */
export function requireDirectories({ state_dir: state, run_dir: run }: Config): void {
  requireDirectory('state_dir', state, 0o700);
  requireDirectory('run_dir', run, 0o755);
}

/** The same for the directory of log_file. */
export function requireLogDirectory({ log_file: file }: Config): void {
  requireDirectory('log_file', path.dirname(file), 0o755);
}

function requireDirectory(setting: string, directory: string, mode: number): void {
  try {
    makeDirectory(directory, mode);
    accessSync(directory, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new CinderfsError('config_invalid', `${setting}: ${directory} cannot be used: ${reasonOf(error)}`, {
      path: directory,
      cause: error,
      remedy: `Let ${setting} name a directory that this user can make and write to.`,
    });
  }
}

/** Not `recursive` of mkdir: that never returns below a directory, like /proc, in which nothing can be made (ENOENT). */
function makeDirectory(directory: string, mode: number): void {
  const missing: string[] = [];
  for (let at = directory; !isDirectory(at); at = path.dirname(at)) missing.unshift(at);
  for (const at of missing) mkdirSync(at, { mode });
}

/** False when it is not there; throws when it is something else. */
function isDirectory(at: string): boolean {
  const found = statSync(at, { throwIfNoEntry: false });
  if (found !== undefined && !found.isDirectory()) throw new Error(`${at} is not a directory`);
  return found !== undefined;
}
