/** The bytes of volumes and images on disk. An image's own file is only ever read. */

import { execFile } from 'node:child_process';
import { createHash, type Hash } from 'node:crypto';
import { open, rename, rm, truncate, type FileHandle } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const GIB = 2 ** 30;

/** One pass reads this much at a time. */
const BLOCK = 1024 * 1024;

export interface Digests {
  readonly md5: string;
  readonly sha512: string;
}

/**
 * Makes `target` hold the bytes of `source` followed by a hole up to `length` bytes, through a temporary file so that
 * a crash leaves no half volume. cp knows what Node does not: reflinks where the file system can, holes for zeros,
 * and not reading the holes of the source.
 */
export async function copySparse(source: string, target: string, length: number): Promise<void> {
  const temporary = `${target}.tmp`;
  await rm(temporary, { force: true });
  await run('cp', ['--sparse=always', '--reflink=auto', '--no-preserve=mode', '--', source, temporary]);
  await truncate(temporary, length);
  await rename(temporary, target);
}

/** Makes `target` a file of `length` zero bytes that takes no space, starting with `head` if given. */
export async function writeSparse(target: string, length: number, head?: Uint8Array): Promise<void> {
  const file = await open(target, 'w', 0o640);
  try {
    if (head !== undefined) await writeAll(file, head, 0);
    await file.truncate(length);
  } finally {
    await file.close();
  }
}

/** Keeps the bytes of `path` inside of a qcow2 file of that name. Needs qemu-img. */
export async function toQcow2(path: string): Promise<void> {
  const temporary = `${path}.tmp`;
  await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', '--', path, temporary]);
  await rename(temporary, path);
}

/** Overwrites, in place, what differs between `target` and the first bytes of `source`: same device, other data. */
export async function overwrite(source: string, target: string): Promise<void> {
  const to = await open(target, 'r+');
  try {
    const old = Buffer.alloc(BLOCK);
    await forEachBlock(source, async (block, offset) => {
      const { bytesRead } = await to.read(old, 0, block.length, offset);
      if (!block.equals(old.subarray(0, bytesRead))) await writeAll(to, block, offset);
    });
  } finally {
    await to.close();
  }
}

/** MD5 and SHA-512 of a file, as Glance records them. */
export async function digestFile(path: string): Promise<Digests> {
  const hashes: Hash[] = [createHash('md5'), createHash('sha512')];
  await forEachBlock(path, (block) => {
    for (const hash of hashes) hash.update(block);
  });
  const [md5 = '', sha512 = ''] = hashes.map((hash) => hash.digest('hex'));
  return { md5, sha512 };
}

/** The same of bytes at hand. */
export function digestBytes(bytes: Uint8Array): Digests {
  const hex = (algorithm: string): string => createHash(algorithm).update(bytes).digest('hex');
  return { md5: hex('md5'), sha512: hex('sha512') };
}

/** What a probe of the content says it is. */
export async function formatOf(path: string): Promise<'raw' | 'qcow2'> {
  return (await virtualSizeInHeader(path)) === undefined ? 'raw' : 'qcow2';
}

/** The size a guest sees: the header's for qcow2, the file's own for anything else. */
export async function virtualSizeOf(path: string, size: number): Promise<number> {
  return (await virtualSizeInHeader(path)) ?? size;
}

async function virtualSizeInHeader(path: string): Promise<number | undefined> {
  const file = await open(path, 'r');
  try {
    const head = Buffer.alloc(32);
    const { bytesRead } = await file.read(head, 0, 32, 0);
    const isQcow2 = bytesRead === 32 && head.readUInt32BE(0) === 0x514649fb;
    return isQcow2 ? Number(head.readBigUInt64BE(24)) : undefined;
  } finally {
    await file.close();
  }
}

async function forEachBlock(
  path: string,
  visit: (block: Buffer, offset: number) => Promise<void> | void,
): Promise<void> {
  const from = await open(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(BLOCK);
    let offset = 0;
    for (;;) {
      const { bytesRead } = await from.read(buffer, 0, BLOCK, offset);
      if (bytesRead === 0) return;
      await visit(buffer.subarray(0, bytesRead), offset);
      offset += bytesRead;
    }
  } finally {
    await from.close();
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, offset + done);
    done += bytesWritten;
  }
}
