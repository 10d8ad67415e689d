import { lstatSync, mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { CinderfsError, reasonOf } from '../../errors.js';
import { distrust, type Trust } from './trusted-path.js';

export interface KeptDirectory extends Trust {
  /** The option that names it, for the user that has to correct it. */
  readonly setting: string;
  readonly path: string;
  /** What the option says, where that is not the directory itself. */
  readonly value?: string;
  /** Permissions, where it has to be made. */
  readonly mode: number;
}

/**
 * Makes `path` where it is missing and makes sure that no other user can change what is in it.
 *
 * @throws CinderfsError `path_unusable`, naming the setting and the way out.
 */
export function keepDirectory({ setting, path, value = path, mode, ...trust }: KeptDirectory): void {
  try {
    make(resolve(path), mode);
  } catch (cause) {
    throw unusable(setting, value, `cannot be made or used: ${reasonOf(cause)}`, { cause });
  }
  const why = distrust(resolve(path), trust);
  if (why !== undefined)
    throw unusable(setting, value, `is not safe to use: ${why}`, {
      remedy: `Let only root, or the user that mounts, own and write to each directory of that path, or set ${setting} to another place.`,
    });
}

/** @returns `path_unusable`: a place that a setting names and that cannot be used, with the way out. */
export function unusable(
  setting: string,
  path: string,
  why: string,
  { cause, remedy }: { readonly cause?: unknown; readonly remedy?: string } = {},
): CinderfsError {
  return new CinderfsError('path_unusable', `${setting} = ${path} ${why}`, {
    path,
    cause,
    remedy:
      remedy ??
      `Make that place usable (space, permissions, a writable file system), or set ${setting} to another.`,
  });
}

/** Not mkdir's own `recursive`: in a file system that makes no directories (/proc) Node's never returns. */
function make(path: string, mode: number): void {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) {
    // A symbolic link to nowhere is left to mkdir(2), which says so.
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) make(dirname(path), 0o755);
    mkdirSync(path, { mode });
  } else if (!statSync(path).isDirectory()) throw new Error('it is not a directory');
}
