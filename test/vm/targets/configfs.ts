/** The kernel's targets are configured by making directories and writing attributes; no program needs to run. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';

export const CONFIGFS = '/sys/kernel/config';

export function make(...parts: readonly string[]): string {
  const path = join(...parts);
  mkdirSync(path, { recursive: true });
  return path;
}

/** Writes one attribute; no newline is added, because LIO keeps what it is given. */
export function set(directory: string, attribute: string, value: string | number): void {
  writeFileSync(join(directory, attribute), String(value));
}

/** A symbolic link in `directory` to another object: how configfs says "uses". */
export function link(target: string, directory: string, name = basename(target)): string {
  const path = join(directory, name);
  symlinkSync(target, path);
  return path;
}

/**
 * Removes an object that was made here, with what was made inside it. Groups the kernel itself made can't be removed:
 * they go with their parent.
 */
export function unmake(path: string): void {
  if (!existsSync(path)) return;
  for (const name of readdirSync(path)) {
    const inner = join(path, name);
    const kind = lstatSync(inner);
    if (kind.isSymbolicLink()) unlinkSync(inner);
    else if (kind.isDirectory()) unmake(inner);
  }
  try {
    rmdirSync(path);
  } catch (error) {
    if (
      (error as NodeJS.ErrnoException).code !== 'EPERM' &&
      (error as NodeJS.ErrnoException).code !== 'EACCES'
    )
      throw error;
  }
}
