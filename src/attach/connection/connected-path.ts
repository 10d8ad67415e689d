import { type BigIntStats, constants } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { alignDown, alignUp } from '../../alignment.js';
import { CinderfsError, reasonOf } from '../../errors.js';
import { alignedBuffer } from '../../sys/aligned-buffer.js';
import { sysfsOf } from '../../sys/devices/block-device.js';
import { inodeOf, type NamedFile, openNamed, statBeneath } from '../../sys/files/beneath.js';
import { kernelText } from '../../sys/files/kernel-text.js';
import type { Connected } from './connector.js';
import type { DeviceSource } from '../../sources/device/device-source.js';
import type { FileSource } from '../../sources/file/file-source.js';

const ALIGNMENT = 4096; // O_DIRECT: the largest logical block in use

/** What is connected by a path: nothing was made, so nothing tells when it goes away; every proof looks. */
export type ConnectedPath = Connected & { readonly source: FileSource | DeviceSource };

/**
 * A regular file below a directory, reached without any link (sys/files/beneath.ts); with an `inode`, that file and no other.
 * Every later open is of this inode. `connector_failed` otherwise.
 */
export async function connectFile(file: NamedFile & { readonly beneath: string }): Promise<ConnectedPath> {
  const { path, beneath } = file;
  const look = (): ReturnType<typeof statBeneath> =>
    statBeneath(beneath, path).catch((cause: unknown) => {
      throw unreadable(path, cause);
    });
  const inode = inodeOf(await look());
  if (file.inode !== undefined && file.inode !== inode)
    throw unreadable(path, 'it is another file than the one that was proven');
  const source = { kind: 'file', path, beneath, inode } as const;
  return {
    source,
    host: { path, beneath, inode },
    lost: new AbortController().signal,
    object: async () => `file ${inodeOf(await look())}`,
    size: async () => Number((await look()).size),
    read: (offset, length) => readAt(source, offset, length),
  };
}

/** A path that is not taken from outside: a disk that was checked, or what a connector of ours made there. */
export async function connectPath(path: string): Promise<ConnectedPath> {
  const found = await statOf(path);
  const kind = found.isFile() ? 'file' : 'device';
  const source = { kind, path } as const;
  return {
    source,
    host: { path },
    lost: new AbortController().signal,
    object: async () => objectOf(await statOf(path)),
    size: async () => sizeOf(await statOf(path)),
    read: (offset, length) => readAt(source, offset, length),
  };
}

/** A file by device and inode; a disk by its number and the kernel's sequence, which no other disk ever had. */
async function objectOf(found: BigIntStats): Promise<string> {
  if (found.isFile()) return `file ${inodeOf(found)}`;
  return `disk ${found.rdev}:${await kernelText(`${sysfsOf(found.rdev)}/diskseq`)}`;
}

async function sizeOf(found: BigIntStats): Promise<number> {
  if (found.isFile()) return Number(found.size);
  return Number(await readFile(`${sysfsOf(found.rdev)}/size`, 'utf8')) * 512;
}

async function statOf(path: string): Promise<BigIntStats> {
  const found = await stat(path, { bigint: true }).catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
  if (found.isFile() || found.isBlockDevice()) return found;
  throw unreadable(path, 'it is no file and no block device');
}

/** A device is read past the page cache: what the disk holds now, not what it held when it was another volume. */
async function readAt(source: FileSource | DeviceSource, offset: number, length: number): Promise<Buffer> {
  const { path } = source;
  const direct = source.kind === 'device';
  const start = direct ? alignDown(offset, ALIGNMENT) : offset;
  const span = direct ? alignUp(offset + length, ALIGNMENT) - start : length;
  const buffer = direct ? alignedBuffer(span) : Buffer.alloc(span);
  const file = await openNamed(source, constants.O_RDONLY | (direct ? constants.O_DIRECT : 0)).catch(
    (cause: unknown) => {
      throw unreadable(path, cause);
    },
  );
  try {
    const { bytesRead } = await file.read(buffer, 0, span, start);
    const end = offset - start + length;
    if (bytesRead < end) throw unreadable(path, `it ends after ${start + bytesRead} bytes`);
    return buffer.subarray(offset - start, end);
  } finally {
    await file.close();
  }
}

function unreadable(path: string, cause: unknown): CinderfsError {
  return new CinderfsError('connector_failed', `cannot read ${path}: ${reasonOf(cause)}`, { path, cause });
}
