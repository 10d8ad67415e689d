/**
 * Files that this program writes for itself and reads back. None is opened through a symbolic link: a directory that
 * another user may write to must not be able to name a victim. See kept-directory.ts for the directories.
 */
import { closeSync, constants, fstatSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR } = constants;

/** Whatever has that name goes first: what is opened is always new, and ours. */
const NEW = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
/** O_NONBLOCK: a FIFO of that name would be waited for. */
const READ = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;

/** Replaces `path` whole: a reader sees the old text or the new one. In the page cache when it returns. */
export function replaceKeptSync(path: string, text: string): void {
  const aside = asideOf(path);
  const fd = createKeptSync(aside);
  try {
    writeWholeSync(fd, Buffer.from(text), 0);
    renameSync(aside, path);
  } catch (error) {
    rmSync(aside, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** The same; the text survives a power cut when it has resolved. */
export async function replaceKept(path: string, text: string): Promise<void> {
  const aside = asideOf(path);
  await rm(aside, { force: true });
  const file = await open(aside, NEW, 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(aside, path);
  await syncDirectory(dirname(path));
}

/** Removes `path`, which stays removed after a power cut. */
export async function removeKept(path: string): Promise<void> {
  await rm(path, { force: true });
  await syncDirectory(dirname(path));
}

/** A new, empty file in place of whatever has the name; the caller closes the descriptor. */
export function createKeptSync(path: string): number {
  rmSync(path, { force: true });
  return openSync(path, NEW, 0o600);
}

/**
 * What `path` holds, at most `most` bytes of it; undefined when there is no such file. Throws for what is no regular
 * file.
 */
export function readKeptSync(path: string, most: number): Buffer | undefined {
  const fd = openKept(path);
  if (fd === undefined) return undefined;
  try {
    const found = fstatSync(fd);
    if (!found.isFile()) throw new Error(`${path} is not a regular file`);
    const bytes = Buffer.alloc(Math.min(found.size, most));
    let done = 0;
    for (let got = 1; got > 0 && done < bytes.length; done += got)
      got = readSync(fd, bytes, done, bytes.length - done, done);
    return bytes.subarray(0, done);
  } finally {
    closeSync(fd);
  }
}

/** Writes all of `bytes` at `at`: a disk that is nearly full takes a part and fails for the rest. */
export function writeWholeSync(fd: number, bytes: Buffer, at: number): void {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, at + done);
}

/** The name of a replacement while it is written; what has it after a crash is nothing. */
export function asideOf(path: string): string {
  return `${path}.new`;
}

function openKept(path: string): number | undefined {
  try {
    return openSync(path, READ);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, O_RDONLY | O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
