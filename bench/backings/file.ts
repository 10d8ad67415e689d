import { join } from 'node:path';
import type { Image, PrepareBacking } from './backing.js';
import { startEmbeddedCloud } from './embedded-cloud.js';
import { writeDense, writeSparse } from './raw-images.js';

/** Regular files in tmpfs. */
export const prepareFile: PrepareBacking = async (workbench) => {
  const { directory, options } = workbench;
  const { denseBytes, sparseBytes, sparseDataBytes } = options.scale;
  const dense = fileImage('dense', join(directory, 'dense.raw'), denseBytes);
  const sparse = fileImage('sparse', join(directory, 'sparse.raw'), sparseBytes);
  await writeDense(dense.path, denseBytes);
  await writeSparse(sparse.path, sparseBytes, sparseDataBytes);
  const cloud = await startEmbeddedCloud([dense.image, sparse.image], workbench);
  return { name: 'file', dense: dense.image, sparse: sparse.image, cloud };
};

function fileImage(name: Image['name'], path: string, bytes: number): { path: string; image: Image } {
  const image: Image = {
    name,
    backing: 'file',
    bytes,
    target: { kind: 'path', path },
    // aio=threads reads with preadv(2), which /proc/PID/io counts; QEMU's default, said because it matters.
    qemu: `driver=file,filename=${path},aio=threads`,
    bytesGiven: undefined,
  };
  return { path, image };
}
