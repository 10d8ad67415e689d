import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { run } from '../command.js';
import type { Workbench } from '../workbench.js';
import type { Image, PrepareBacking } from './backing.js';
import { startEmbeddedCloud } from './embedded-cloud.js';
import { writeDense, writeSparse } from './raw-images.js';

/** Loop devices over files in tmpfs: a block device with its own page cache and nothing slow below. */
export const prepareDevice: PrepareBacking = async (workbench) => {
  const { directory, options } = workbench;
  const { denseBytes, sparseBytes, sparseDataBytes } = options.scale;
  const densePath = join(directory, 'dense-of-device.raw');
  const sparsePath = join(directory, 'sparse-of-device.raw');
  await writeDense(densePath, denseBytes);
  await writeSparse(sparsePath, sparseBytes, sparseDataBytes);
  const dense = deviceImage('dense', await loopOver(densePath, workbench), denseBytes);
  const sparse = deviceImage('sparse', await loopOver(sparsePath, workbench), sparseBytes);
  const cloud = await startEmbeddedCloud([dense, sparse], workbench);
  return { name: 'device', dense, sparse, cloud };
};

async function loopOver(path: string, { cleanup }: Workbench): Promise<string> {
  const { stdout } = await run('losetup', ['--find', '--show', '--read-only', path]);
  const device = stdout.trim();
  cleanup.defer(`losetup --detach ${device}`, () => run('losetup', ['--detach', device]));
  return device;
}

function deviceImage(name: Image['name'], path: string, bytes: number): Image {
  return {
    name,
    backing: 'device',
    bytes,
    target: { kind: 'path', path },
    qemu: `driver=host_device,filename=${path},aio=threads`,
    bytesGiven: () => bytesReadFrom(basename(path)),
  };
}

/** Of /sys/block/NAME/stat the third field: sectors read, always of 512 bytes, by whomever. */
async function bytesReadFrom(device: string): Promise<number> {
  const stat = await readFile(`/sys/block/${device}/stat`, 'utf8');
  return 512 * Number(stat.trim().split(/\s+/)[2]);
}
