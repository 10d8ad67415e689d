import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { TestContext } from 'node:test';
import { constants } from 'node:fs';
import type { KernelSubject, Subject } from './subject.js';
import type { World } from './world.js';

type Carried = (t: TestContext) => Promise<{ subject: Subject; world: World }>;

/** What only a kernel between can show; skipped where there is none. */
export function kernelConformance(carried: Carried): void {
  const withKernel = (
    what: string,
    body: (kernel: KernelSubject, world: World, t: TestContext) => Promise<void>,
  ): void => {
    it(what, async (t) => {
      const { subject, world } = await carried(t);
      if (subject.kernel === undefined) t.skip('no kernel in between');
      else await body(subject.kernel, world, t);
    });
  };

  withKernel('ends where the image ends by O_DIRECT, mmap and sendfile too', async (kernel, { raw, nbd }) => {
    for (const { image, bytes } of [raw, nbd]) {
      const file = kernel.at(image.id);
      const tail = bytes.length - (bytes.length % 4096);
      assert.ok((await kernel.bytes('direct', file, tail, 1 << 20)).equals(bytes.subarray(tail)));
      assert.ok((await kernel.bytes('direct', file, 0, 1 << 20)).equals(bytes.subarray(0, 1 << 20)));
      const mapped = await kernel.call<{ size: number; data: string }>('mapped', file, tail, 1 << 20);
      assert.equal(mapped.size, bytes.length);
      assert.ok(Buffer.from(mapped.data, 'base64').equals(bytes.subarray(tail)));
      assert.ok((await kernel.bytes('sent', file)).equals(bytes));
    }
  });

  withKernel('follows its own symlinks', async (kernel, { raw }) => {
    assert.ok((await kernel.bytes('sent', kernel.at('by-name/debian%2F12'))).equals(raw.bytes));
  });

  withKernel('refuses every change with EROFS', async (kernel, { raw, pool }) => {
    const file = kernel.at(raw.image.id);
    const other = kernel.at('new');
    const { O_WRONLY, O_RDWR, O_CREAT, O_TRUNC } = constants;
    const changes: [op: string, ...args: unknown[]][] = [
      ['open', file, O_WRONLY],
      ['open', file, O_RDWR],
      ['open', file, O_TRUNC | O_WRONLY],
      ['open', other, O_CREAT | O_RDWR],
      ['unlink', file],
      ['rename', file, other],
      ['mkdir', other],
      ['rmdir', kernel.at('by-name')],
      ['symlink', 'x', other],
      ['link', file, other],
      ['mknod', other],
      ['truncate', file, 0],
      ['chmod', file, 0o777],
      ['chown', file, 1, 1],
      ['utime', file],
      ['setxattr', file, 'user.cinderfs.name'],
      ['removexattr', file, 'user.cinderfs.name'],
    ];
    for (const [op, ...args] of changes) {
      await assert.rejects(kernel.call(op, ...args), { code: 'EROFS' }, op);
    }
    assert.equal(pool.acquires, 0);
  });
}
