import { randomFillSync } from 'node:crypto';
import { mkdir, open, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';

const MIB = 1024 * 1024;

export interface SampleImages {
  /** 24 MiB and 345 sectors: its end falls inside a block, and qemu-img, which counts in sectors, copies it exactly. */
  readonly raw: string;
  readonly qcow2: string;
  /** 256 MiB with 4 MiB of data. */
  readonly sparse: string;
}

/** Writes the three images of the tour into `dir`, the folder the embedded cloud picks images up from. */
export async function writeSampleImages(dir: string): Promise<SampleImages> {
  await mkdir(dir, { recursive: true });
  const raw = path.join(dir, 'debian.raw');
  const qcow2 = path.join(dir, 'cirros.qcow2');
  const sparse = path.join(dir, 'sparse.raw');
  await writeFile(raw, noise(24 * MIB + 345 * 512));
  await execa('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, qcow2]);
  await writeSparse(sparse);
  return { raw, qcow2, sparse };
}

async function writeSparse(file: string): Promise<void> {
  const handle = await open(file, 'wx');
  try {
    await handle.truncate(256 * MIB);
    for (const offset of [0, 100 * MIB, 200 * MIB, 255 * MIB]) {
      const data = noise(MIB);
      await handle.write(data, 0, data.length, offset);
    }
  } finally {
    await handle.close();
  }
}

function noise(bytes: number): Buffer {
  return randomFillSync(Buffer.allocUnsafe(bytes));
}
