/** Files that decide what root does: read only where root alone can have written them. */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  type Stats,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { CinderfsError } from '../errors.js';

/** Its message says which file or directory others can write, and how. */
export class Untrusted extends Error {}

/** What root is told about a file that it named. */
export function untrusted(path: string, reason: Untrusted): CinderfsError {
  return new CinderfsError('config_invalid', `root does not read ${path}: ${reason.message}`, {
    path,
    remedy: 'Give the file and every directory on the way to it to root, writable by root alone.',
  });
}

const MAX_LINKS = 40;
const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

/**
 * The content of `path`. As root (`uid` 0) throws Untrusted unless the file, each directory on the way to it and each
 * symbolic link there belong to root and can be written by root alone; other users read what they can. Throws what
 * open(2) and read(2) do.
 */
export function readTrusted(path: string, uid: number | undefined): string {
  if (uid !== 0) return readFileSync(path, 'utf8');
  const real = walk(path);
  // The file is at hand before it is looked at, and its path was safe: no other user can replace it.
  const fd = openSync(real, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const found = fstatSync(fd);
    if (!isNullDevice(found)) requireOwn(path, found);
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}

/** Throws Untrusted if others than root can decide what `path` is; for what is read by others' code. */
export function requireTrusted(path: string, uid: number | undefined): void {
  if (uid !== 0) return;
  const real = walk(path);
  requireOwn(real, lstatSync(real));
}

/** Where `path` leads, each step of the way checked. */
function walk(path: string): string {
  let at = '/';
  let links = 0;
  const steps = resolve(path)
    .split('/')
    .filter((step) => step !== '');
  requireDirectory('/', lstatSync('/'));
  for (let step = steps.shift(); step !== undefined; step = steps.shift()) {
    if (step === '..') {
      at = dirname(at);
      continue;
    }
    const next = join(at, step);
    const found = lstatSync(next);
    if (found.isSymbolicLink()) {
      if (++links > MAX_LINKS) throw new Untrusted(`${path} has too many symbolic links`);
      requireOwner(next, found);
      const target = readlinkSync(next);
      steps.unshift(...target.split('/').filter((part) => part !== '' && part !== '.'));
      if (target.startsWith('/')) at = '/';
      continue;
    }
    // The last one is looked at by its descriptor.
    if (found.isDirectory()) requireDirectory(next, found);
    at = next;
  }
  return at;
}

/** In a sticky directory (/tmp) others can make files but not touch those of root. */
function requireDirectory(path: string, found: Stats): void {
  requireOwner(path, found);
  if ((found.mode & STICKY) === 0) requireMode(path, found);
}

function requireOwn(path: string, found: Stats): void {
  requireOwner(path, found);
  if (!found.isSymbolicLink()) requireMode(path, found);
}

function requireOwner(path: string, { uid }: Stats): void {
  if (uid !== 0) throw new Untrusted(`${path} belongs to user ${uid}, not to root`);
}

function requireMode(path: string, { mode }: Stats): void {
  if ((mode & WRITABLE_BY_OTHERS) === 0) return;
  const octal = (mode & 0o7777).toString(8).padStart(4, '0');
  throw new Untrusted(`${path} can be written by others than root (mode ${octal})`);
}

/** /dev/null, the usual way to say "no file": every user can write it, without any effect. */
function isNullDevice(found: Stats): boolean {
  return found.isCharacterDevice() && found.uid === 0 && found.rdev === 0x103;
}
