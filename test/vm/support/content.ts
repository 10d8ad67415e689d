import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, writeFileSync } from 'node:fs';

const MiB = 1024 * 1024;

/** Writes `mib` MiB that no other `seed` has; answers with their sha256. */
export function writeContent(path: string, mib: number, seed: string): string {
  const digest = createHash('sha256');
  writeFileSync(path, '');
  for (let index = 0; index < mib; index++) {
    const block = blockOf(seed, index);
    digest.update(block);
    writeFileSync(path, block, { flag: 'a' });
  }
  return digest.digest('hex');
}

/** The `index`th MiB of that content. Cheap: everything is emulated in here. */
export function blockOf(seed: string, index: number): Buffer {
  const block = Buffer.alloc(MiB, createHash('sha256').update(seed).digest());
  block.writeUInt32LE(index, 0);
  return block;
}

/** The sha256 of the first `mib` MiB that a path gives to a reader. */
export function sha256Of(path: string, mib: number): string {
  const digest = createHash('sha256');
  const block = Buffer.alloc(MiB);
  const file = openSync(path, 'r');
  try {
    for (let index = 0; index < mib; index++) {
      if (readSync(file, block, 0, MiB, index * MiB) !== MiB) throw new Error(`${path} ends early`);
      digest.update(block);
    }
  } finally {
    closeSync(file);
  }
  return digest.digest('hex');
}
