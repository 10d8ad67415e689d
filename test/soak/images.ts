import { mkdir, open } from 'node:fs/promises';
import path from 'node:path';
import type { ImageSpec } from '../../devcloud/image-spec.js';
import { run } from '../support/program.js';
import { someBytes } from '../support/seeds.js';

/** An image of the soak, and the file that says what its bytes are. */
export interface SoakImage {
  readonly id: string;
  readonly name: string;
  readonly size: number;
  readonly volumeId: string;
  readonly multiattach: boolean;
  readonly source: string;
}

const MiB = 2 ** 20;

interface Recipe {
  readonly spec: ImageSpec;
  readonly size: number;
  /** Only these bytes hold data: [offset, length]. */
  readonly data?: readonly (readonly [number, number])[];
}

/** Ends inside a sector, one volume per host at a time, sparse, exactly as long as its volume (passthrough), tiny. */
export const RECIPES: readonly Recipe[] = [
  { spec: { name: 'odd' }, size: 6 * MiB + 12_345 },
  { spec: { name: 'even' }, size: 4 * MiB },
  { spec: { name: 'single', multiattach: false }, size: 2 * MiB + 1 },
  {
    spec: { name: 'sparse' },
    size: 48 * MiB,
    data: [
      [0, 4096],
      [33 * MiB, MiB],
    ],
  },
  { spec: { name: 'exact', volumeBytes: 'exact' }, size: 3 * MiB },
  { spec: { name: 'tiny' }, size: 700 },
];

/** Writes the bytes of an image, never the same twice, to `file`. */
export async function writeSample({ size, data = [[0, size]] }: Recipe, file: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  const sample = await open(file, 'wx');
  try {
    await sample.truncate(size);
    for (const [offset, length] of data) await sample.write(someBytes(length), 0, length, offset);
  } finally {
    await sample.close();
  }
}

/** qemu-img convert rounds a raw image up to a whole sector: the copy is cut to size before it is compared. */
export async function sameAfterConvert(
  copy: string,
  image: Pick<SoakImage, 'size' | 'source'>,
): Promise<boolean> {
  await run('truncate', ['-s', String(image.size), copy]);
  return (await run('cmp', [copy, image.source])).status === 0;
}
