import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, truncate } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import { CinderfsError } from '../../src/errors.js';
import { cannotMount, cat, digestBy, mountFiles, randomFile, WAYS } from '../fuse/engine-mount.js';
import { ReaderProcess } from '../fuse/reader-process.js';
import { eventually } from '../support/eventually.js';
import { run } from '../support/program.js';

const MiB = 2 ** 20;
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe('the kernel engine', { skip: cannotMount, timeout: 120_000 }, () => {
  it('shows exactly the bytes of the image, by every way to read and every way to serve', async (t) => {
    // Every backing is longer than its image by somebody else's bytes (design trap 1).
    const size = 3 * MiB + 1234;
    let content: Buffer = Buffer.alloc(0);
    const { at, transport } = await mountFiles(
      t,
      async (dir) => {
        content = await randomFile(path.join(dir, 'backing'), size + MiB);
        await randomFile(path.join(dir, 'exact'), 0);
        const source = { path: path.join(dir, 'backing') };
        return [
          { name: 'file', size, source: { kind: 'file', ...source } },
          { name: 'device', size, source: { kind: 'device', ...source } },
          // Served by Filesystem.read, as NBD volumes are; without a source it would be a virtual file, never mapped.
          { name: 'memory', size, content, source: { kind: 'nbd', socket: 'none', exportName: 'memory' } },
        ];
      },
      { passthrough: true },
    );
    const wanted = sha256(content.subarray(0, size));
    for (const name of ['file', 'device', 'memory'])
      for (const way of WAYS) {
        await run('sysctl', ['-q', 'vm.drop_caches=1']);
        assert.equal(await digestBy(way, at(name)), wanted, `${name} by ${way}`);
      }
    await eventually('every handle is given back', () =>
      Promise.resolve(transport.served().length === 0 ? true : undefined),
    );
  });

  it('lets the kernel read a file of exactly the size of its image', async (t) => {
    const size = 2 * MiB + 77;
    let content: Buffer = Buffer.alloc(0);
    const { at, transport, filesystem, dir } = await mountFiles(
      t,
      async (folder) => {
        content = await randomFile(path.join(folder, 'backing'), size);
        return [{ name: 'image', size, source: { kind: 'file', path: path.join(folder, 'backing') } }];
      },
      { passthrough: true },
    );
    for (const way of WAYS) assert.equal(await digestBy(way, at('image')), sha256(content), way);
    await truncate(path.join(dir, 'backing'), size + 1);
    assert.equal(await digestBy('read', at('image')), sha256(content), 'one byte longer: not by passthrough');
    assert.equal(filesystem.calls.read, undefined);
    await eventually('every handle is given back', () =>
      Promise.resolve(transport.served().length === 0 ? true : undefined),
    );
  });

  it('answers a read that fails inside the image with EIO, never with fewer bytes', async (t) => {
    const { at } = await mountFiles(t, async (dir) => {
      await randomFile(path.join(dir, 'short'), MiB);
      return [{ name: 'image', size: 2 * MiB, source: { kind: 'file', path: path.join(dir, 'short') } }];
    });
    const { status, stderr } = await run('cat', [at('image')], { LC_ALL: 'C' });
    assert.notEqual(status, 0);
    assert.match(stderr, /Input\/output error/);
  });

  it('serves sixteen readers at once', async (t) => {
    let content: Buffer = Buffer.alloc(0);
    const { at, filesystem } = await mountFiles(t, async (dir) => {
      content = await randomFile(path.join(dir, 'backing'), 16 * MiB);
      return [{ name: 'image', size: 16 * MiB, source: { kind: 'file', path: path.join(dir, 'backing') } }];
    });
    const outcomes = await Promise.all(Array.from({ length: 16 }, () => run('sha256sum', [at('image')])));
    for (const { stdout } of outcomes) assert.equal(stdout.slice(0, 64), sha256(content));
    assert.equal(filesystem.calls.open, 16);
  });

  it('lists ten thousand entries without asking for any of them', async (t) => {
    const { at, filesystem } = await mountFiles(t, () =>
      Array.from({ length: 10_000 }, (_, n) => ({ name: `image-${n}`, size: n })),
    );
    const began = performance.now();
    const { stdout } = await run('ls', ['-ln', at('')]);
    const lines = stdout.trim().split('\n').slice(1);
    assert.equal(lines.length, 10_000);
    assert.ok(lines.some((line) => / 9999 .* image-9999$/.test(line)));
    assert.equal(filesystem.calls.readdir, 1);
    assert.ok((filesystem.calls.getattr ?? 0) <= 2, 'the root only');
    assert.equal(filesystem.calls.lookup, undefined);
    t.diagnostic(
      `ls -l took ${Math.round(performance.now() - began)} ms; ${JSON.stringify(filesystem.calls)}`,
    );
  });

  it('shows attributes, links and extended attributes', async (t) => {
    const { at } = await mountFiles(t, () => [
      {
        name: 'image',
        size: 5,
        content: Buffer.from('bytes'),
        attributes: { 'user.cinderfs.name': 'fedora' },
      },
      { name: 'link', size: 0, target: 'image' },
    ]);
    const { stdout: stat } = await run('stat', ['-c', '%s %a %F %Y', at('image')]);
    assert.equal(stat.trim(), '5 440 regular file 1700000000');
    assert.equal((await run('readlink', [at('link')])).stdout.trim(), 'image');
    assert.equal((await run('cat', [at('link')])).stdout, 'bytes');
    const { stdout: values } = await run('python3', [
      '-c',
      'import os, sys; p = sys.argv[1]; print(os.listxattr(p), os.getxattr(p, "user.cinderfs.name"))',
      at('image'),
    ]);
    assert.equal(values.trim(), "['user.cinderfs.name'] b'fedora'");
    const { stdout: blocks } = await run('stat', ['-f', '-c', '%b %S', at('')]);
    assert.equal(blocks.trim(), `${2 ** 33} ${MiB}`);
  });

  it('refuses to write', async (t) => {
    const { at } = await mountFiles(t, () => [{ name: 'image', size: 5, content: Buffer.from('bytes') }]);
    const { stderr } = await run('sh', [
      '-c',
      'echo x > "$1"; touch "$1"; rm "$1"; mkdir "$1.d"',
      '-',
      at('image'),
    ]);
    assert.equal(stderr.match(/Read-only file system/g)?.length, 4, stderr);
  });

  it('forgets an image that disappears, although the kernel may keep names', async (t) => {
    const { at, filesystem } = await mountFiles(t, () => [
      { name: 'image', size: 5, content: Buffer.from('bytes') },
    ]);
    assert.equal((await run('cat', [at('image')])).stdout, 'bytes');
    filesystem.remove('image');
    const outcome = await eventually('the notification reaches the kernel', async () => {
      const again = await run('cat', [at('image')], { LC_ALL: 'C' });
      return again.status === 0 ? undefined : again;
    });
    assert.match(outcome.stderr, /No such file/);
  });

  it('serves no byte of a fenced file, not from the page cache either', async (t) => {
    const { at, filesystem } = await mountFiles(t, async (dir) => {
      await randomFile(path.join(dir, 'backing'), MiB);
      const source = { kind: 'file', path: path.join(dir, 'backing') } as const;
      return [{ name: 'image', size: MiB, source }];
    });
    const reader = new ReaderProcess(t);
    const fd = await reader.ask('open', at('image'));
    assert.equal(await reader.ask('pread', fd, 0, MiB), String(MiB));
    filesystem.fence('image', new CinderfsError('image_changed', 'it was replaced'));
    // The kernel drops its pages when the notification reaches it, a moment later.
    const answers: string[] = [];
    await eventually('the fence reaches the reader', async () => {
      answers.push(await reader.ask('pread', fd, 0, 4096));
      return answers.at(-1) === '4096' ? undefined : true;
    });
    assert.equal(answers.at(-1), 'ESTALE');
    assert.equal(await reader.ask('pread', fd, MiB / 2, 4096), 'ESTALE');
    assert.equal((await cat(at('image'))).status, 0, 'a new open is a new file');
  });

  it('finds data and holes of a file, within the image', async (t) => {
    const { at } = await mountFiles(t, async (dir) => {
      const backing = path.join(dir, 'backing');
      await randomFile(backing, MiB);
      await truncate(backing, 8 * MiB);
      return [
        { name: 'image', size: 4 * MiB, source: { kind: 'file', path: backing } },
        { name: 'memory', size: MiB, content: Buffer.alloc(MiB) },
      ];
    });
    const reader = new ReaderProcess(t);
    const fd = await reader.ask('open', at('image'));
    assert.equal(await reader.ask('seek', fd, 0, 'data'), '0');
    assert.equal(await reader.ask('seek', fd, 0, 'hole'), String(MiB));
    assert.equal(await reader.ask('seek', fd, MiB, 'data'), 'ENXIO');
    assert.equal(await reader.ask('seek', fd, 2 * MiB, 'hole'), String(2 * MiB));
    assert.equal(await reader.ask('seek', fd, 4 * MiB, 'data'), 'ENXIO');
    const memory = await reader.ask('open', at('memory'));
    assert.equal(await reader.ask('seek', memory, 0, 'hole'), String(MiB));
  });

  it('gives every handle back, and refuses to unmount while one is open', async (t) => {
    const { at, filesystem, transport } = await mountFiles(t, () => [
      { name: 'image', size: 5, content: Buffer.from('bytes') },
    ]);
    const reader = new ReaderProcess(t);
    const fd = await reader.ask('open', at('image'));
    await assert.rejects(transport.unmount(), { code: 'holders' });
    assert.equal(filesystem.openHandles.size, 1);
    await reader.ask('close', fd);
    await transport.unmount();
    assert.equal(filesystem.openHandles.size, 0);
    await transport.unmount();
  });

  it('gives every handle back when the connection is cut', async (t) => {
    const { at, filesystem, transport } = await mountFiles(t, () => [
      { name: 'image', size: 5, content: Buffer.from('bytes') },
    ]);
    const reader = new ReaderProcess(t);
    const fd = await reader.ask('open', at('image'));
    await transport.unmount({ abort: true });
    assert.equal(filesystem.openHandles.size, 0);
    assert.match(await reader.ask('pread', fd, 0, 5), /ENOTCONN|ECONNABORTED|^5$/);
    assert.equal((await readFile('/proc/self/mountinfo', 'utf8')).includes(path.dirname(at('image'))), false);
  });
});
