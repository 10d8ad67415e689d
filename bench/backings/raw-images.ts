import { createReadStream, createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

const MiB = 2 ** 20;

/** Writes `bytes` random bytes, once: nothing that serves them can skip, compress or share any. */
export async function writeDense(path: string, bytes: number): Promise<void> {
  const random = createReadStream('/dev/urandom', { end: bytes - 1, highWaterMark: MiB });
  await pipeline(random, createWriteStream(path, { flags: 'wx' }));
}

/** Writes a file of `bytes` with `dataBytes` of data in pieces of 1 MiB, evenly spread, and holes between. */
export async function writeSparse(path: string, bytes: number, dataBytes: number): Promise<void> {
  const random = await open('/dev/urandom');
  const file = await open(path, 'wx');
  try {
    await file.truncate(bytes);
    const piece = Buffer.alloc(MiB);
    const pieces = dataBytes / MiB;
    for (let index = 0; index < pieces; index += 1) {
      await random.read(piece, 0, MiB);
      await file.write(piece, 0, MiB, Math.floor(index * (bytes / MiB / pieces)) * MiB);
    }
  } finally {
    await file.close();
    await random.close();
  }
}
