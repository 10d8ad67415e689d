/** Our judgement next to that of Glance's inspector and of QEMU, over images of every kind and over damaged ones. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readHead } from '../../src/attach/head/head-bytes.js';
import { judgeHead } from '../../src/attach/head/verdict.js';
import type { Random } from '../support/random.js';
import { temporaryFolder } from '../support/temporary.js';
import { qcow2, vmdk } from './crafted-images.js';
import { randomFor, runsFor } from '../support/seeds.js';

const INSPECT = fileURLToPath(new URL('../../../test/head/inspect.py', import.meta.url));
/** Glance's inspector as it moved to oslo.utils (2024.2), and what it was before: without most of its checks. */
const CURRENT = '/usr/lib/python3/dist-packages/oslo_utils/imageutils/format_inspector.py';
const FORMER = '/usr/lib/python3/dist-packages/glance/common/format_inspector.py';
const FORMATS = ['raw', 'qcow2', 'qed', 'vmdk', 'vhd', 'vhdx', 'vdi'];

/** What we let pass and Glance does not, and why that leads nobody astray (docs/decisions/image-safety.md). */
const LAXER: readonly ((image: Buffer, format: string) => boolean)[] = [
  (image, format) => format === 'qcow2' && (image[79] ?? 0) >= 0x10 && (image[79] ?? 0) < 0x20,
  (image, format) =>
    format === 'vhd' && image.toString('latin1', image.length - 512, image.length - 504) === 'conectix',
  // In version 2 the first header extension is there; QEMU looks for no features.
  (image, format) => format === 'qcow2' && image[7] === 2,
  // Glance does not read images of less than one sector.
  (image) => image.length < 512,
  // Newer inspectors call these by names of their own; read as raw they lead nowhere.
  (image, format) =>
    format === 'raw' && (image.readUInt16LE(510) === 0xaa55 || image.toString('latin1', 0, 4) === 'LUKS'),
];
/** What we refuse and Glance lets pass. */
const STRICTER =
  /extents are other files|has a backing file|does not say its type|VMDK of type|cannot be read|footer|parent file|may be taken for|lines that mean nothing|it is vmdk|it is qed|not (?:raw|vdi|vhdx?|qed|qcow2|vmdk)$/;

describe('images as Glance and QEMU see them', { timeout: 300_000 }, () => {
  it('of every kind that qemu-img makes', async (test) => {
    const folder = await temporaryFolder(test);
    const images = await madeByQemu(folder);
    await compare(test, images, currentInspector() ?? formerInspector(folder));
    for (const image of images) await assertStandsAlone(image);
  });

  it('crafted, and damaged at random', async (test) => {
    const folder = await temporaryFolder(test);
    const damaged = await damagedImages(folder, randomFor(test, 20_261_128), runsFor(150));
    // The former one has faults of its own in what is damaged.
    await compare(test, damaged, currentInspector());
    for (const image of damaged.slice(0, 60)) await assertStandsAlone(image);
  });
});

async function compare(
  test: TestContext,
  images: readonly string[],
  inspector: string | undefined,
): Promise<void> {
  if (inspector === undefined) {
    test.diagnostic("compared with QEMU alone: Glance's inspector cannot be had here");
    return;
  }
  const asked = images.flatMap((image) => FORMATS.map((format) => [image, format] as const));
  const theirs = JSON.parse(
    execFileSync('/usr/bin/python3', [INSPECT, inspector], {
      input: JSON.stringify(asked),
      maxBuffer: 1 << 26,
    }).toString(),
  ) as boolean[];
  const differences: string[] = [];
  for (const [index, [image, format]] of asked.entries()) {
    const bytes = await readFile(image);
    const dangers = await dangersOf(bytes, format);
    const safe = dangers.length === 0;
    if (safe === theirs[index]) continue;
    const explained = safe ? LAXER.some((known) => known(bytes, format)) : STRICTER.test(dangers.join('; '));
    if (!explained)
      differences.push(`${image} as ${format}: we find ${safe ? 'nothing' : dangers.join('; ')}`);
  }
  assert.deepEqual(differences, []);
}

/** What is safe as QEMU's own format of it names no other file to QEMU. */
async function assertStandsAlone(image: string): Promise<void> {
  const bytes = await readFile(image);
  for (const format of ['raw', 'qcow2', 'vmdk', 'vhd', 'qed']) {
    if ((await dangersOf(bytes, format)).length > 0) continue;
    const { stdout } = spawnSync('qemu-img', ['info', '--output=json', image], { encoding: 'utf8' });
    const told = stdout === '' ? {} : (JSON.parse(stdout) as Record<string, unknown>);
    assert.equal(told['backing-filename'], undefined, `${image} as ${format}`);
    assert.doesNotMatch(JSON.stringify(told['format-specific'] ?? {}), /data-file"/, `${image} as ${format}`);
    if (format === 'raw')
      assert.ok(!['qcow', 'qcow2', 'vmdk', 'qed'].some((it) => it === told.format), image);
  }
}

async function dangersOf(image: Buffer, diskFormat: string): Promise<readonly string[]> {
  const read = (offset: number, length: number): Promise<Buffer> =>
    Promise.resolve(image.subarray(offset, offset + length));
  return judgeHead(await readHead({ read }, image.length), { diskFormat, containerFormat: 'bare' }).dangers;
}

async function madeByQemu(folder: string): Promise<readonly string[]> {
  const made = join(folder, 'made');
  await mkdir(made);
  await writeFile(join(made, 'base'), Buffer.alloc(1 << 20, 'base'));
  const kinds: readonly (readonly [name: string, ...options: readonly string[]])[] = [
    ['qcow2-v2', '-f', 'qcow2', '-o', 'compat=0.10'],
    ['qcow2-small-clusters', '-f', 'qcow2', '-o', 'cluster_size=512'],
    ['qcow2-extended', '-f', 'qcow2', '-o', 'extended_l2=on'],
    ['qcow2-zstd', '-f', 'qcow2', '-o', 'compression_type=zstd'],
    ['qcow2-lazy', '-f', 'qcow2', '-o', 'lazy_refcounts=on'],
    ['qcow2-data', '-f', 'qcow2', '-o', `data_file=${made}/data,data_file_raw=on`],
    ['qcow2-backed', '-f', 'qcow2', '-b', `${made}/base`, '-F', 'raw'],
    ['qed', '-f', 'qed'],
    ...[
      'monolithicSparse',
      'streamOptimized',
      'monolithicFlat',
      'twoGbMaxExtentSparse',
      'twoGbMaxExtentFlat',
    ].map((kind) => [`vmdk-${kind}`, '-f', 'vmdk', '-o', `subformat=${kind}`] as const),
    ['vpc-dynamic', '-f', 'vpc', '-o', 'subformat=dynamic'],
    ['vpc-fixed', '-f', 'vpc', '-o', 'subformat=fixed'],
    ['vhdx-dynamic', '-f', 'vhdx', '-o', 'subformat=dynamic'],
    ['vhdx-fixed', '-f', 'vhdx', '-o', 'subformat=fixed'],
    ['vdi-dynamic', '-f', 'vdi'],
    ['vdi-static', '-f', 'vdi', '-o', 'static=on'],
  ];
  for (const [name, ...options] of kinds)
    execFileSync('qemu-img', ['create', '-q', ...options, join(made, name), '1M']);
  execFileSync('qemu-img', [
    'create',
    '-q',
    '-f',
    'vmdk',
    '-b',
    `${made}/vmdk-monolithicSparse`,
    '-F',
    'vmdk',
    join(made, 'vmdk-backed'),
  ]);
  execFileSync('qemu-img', [
    'convert',
    '-O',
    'vmdk',
    '-o',
    'subformat=streamOptimized',
    join(made, 'base'),
    join(made, 'vmdk-stream'),
  ]);
  return (await readdir(made)).map((name) => join(made, name));
}

/** Images of each kind with some bytes of the head replaced: by random ones, and by numbers that mean something. */
async function damagedImages(folder: string, random: Random, count: number): Promise<readonly string[]> {
  const below = (limit: number): number => random.whole(0, limit - 1);
  const kinds = [
    () => qcow2(),
    () => qcow2({ version: 2 }),
    () => vmdk(),
    () => vmdk({ directory: 0xffff_ffff_ffff_ffffn, footer: 'right' }),
  ];
  const paths: string[] = [];
  for (let number = 0; number < count; number++) {
    const image = (kinds[below(kinds.length)] ?? qcow2)();
    for (let changes = below(4); changes >= 0; changes--) {
      const at = [below(112), below(1024), image.length - 1 - below(1536)][below(3)] ?? 0;
      image[at] = [0, 1, 4, 0x0a, 0x22, 0x2f, 0x80, 0xff, below(256)][below(9)] ?? 0;
    }
    const path = join(folder, `damaged-${number}`);
    await writeFile(path, image);
    paths.push(path);
  }
  return paths;
}

/** The inspector of today, where it is told or installed. */
function currentInspector(): string | undefined {
  return process.env.CINDERFS_FORMAT_INSPECTOR ?? (existsSync(CURRENT) ? CURRENT : undefined);
}

/** That of Glance before it, installed or out of Debian's package; undefined where it cannot be had. */
function formerInspector(folder: string): string | undefined {
  if (existsSync(FORMER)) return FORMER;
  const script = 'apt-get download -qq python3-glance && dpkg-deb -x python3-glance_*.deb .';
  const { status } = spawnSync('sh', ['-c', script], { cwd: folder, stdio: 'ignore', timeout: 60_000 });
  return status === 0 ? join(folder, FORMER) : undefined;
}
