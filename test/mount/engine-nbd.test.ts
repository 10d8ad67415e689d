import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { CinderfsError } from '../../src/errors.js';
import type { TransportOptions } from '../../src/fs/contract/transport.js';
import { cannotMount, mountFiles, randomFile } from '../fuse/engine-mount.js';
import type { EngineMount } from '../fuse/engine-mount.js';
import type { MemoryFile } from '../fuse/memory-filesystem.js';
import { ReaderProcess } from '../fuse/reader-process.js';
import { eventually } from '../support/eventually.js';
import { run } from '../support/program.js';
import { QemuNbd } from '../support/qemu-nbd.js';
import { undoneAfter } from '../conformance/world.js';
import { temporaryFolder } from '../support/temporary.js';

const MiB = 2 ** 20;
const SIZE = 8 * MiB + 777;

interface Exported {
  readonly qemu: QemuNbd;
  readonly mount: EngineMount;
  readonly content: Buffer;
}

/** An image on a real qemu-nbd, which the workers read: the file system behind it can only say that it timed out. */
async function mountExported(
  t: TestContext,
  options: Partial<TransportOptions> = {},
  reading: MemoryFile['reading'] = () => Promise.reject(timedOut()),
): Promise<Exported> {
  const undo = undoneAfter(t);
  const dir = await temporaryFolder(undo);
  const content = await randomFile(path.join(dir, 'volume'), SIZE + MiB);
  const qemu = new QemuNbd(path.join(dir, 'nbd.sock'), path.join(dir, 'volume'));
  await qemu.start(undo);
  const mount = await mountFiles(
    t,
    async (folder) => {
      await randomFile(path.join(folder, 'backing'), MiB);
      return [
        {
          name: 'exported',
          size: SIZE,
          source: { kind: 'nbd', socket: qemu.socket, exportName: '' },
          content: content.subarray(0, SIZE),
          reading,
        },
        { name: 'healthy', size: MiB, source: { kind: 'file', path: path.join(folder, 'backing') } },
      ];
    },
    options,
  );
  return { qemu, mount, content: content.subarray(0, SIZE) };
}

function timedOut(): CinderfsError {
  return new CinderfsError('read_timeout', 'said by the file system');
}

async function socketCount(): Promise<number> {
  const fds = await readdir('/proc/self/fd');
  const targets = await Promise.all(fds.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
  return targets.filter((target) => target.startsWith('socket:')).length;
}

/** Compares two files in pieces of any length at any place. */
const AT_RANDOM = `
import os, random, sys
served, copy = (os.open(name, os.O_RDONLY) for name in sys.argv[1:])
size = os.fstat(copy).st_size
for round in range(2000):
    offset = random.randrange(size)
    length = random.choice((1, 4096, 20000, 200000))
    if os.pread(served, length, offset) != os.pread(copy, length, offset): sys.exit(f"{length} bytes at {offset} differ")
    if round % 100 == 0: os.posix_fadvise(served, 0, 0, os.POSIX_FADV_DONTNEED)
print("equal")
`;

describe('workers on NBD exports', { skip: cannotMount, timeout: 60_000 }, () => {
  it('serve exactly the bytes of the image and leave no connection behind', async (t) => {
    // A worker that a busy machine holds up for long leaves its reads to the file system, which has the bytes, too.
    const { mount, content } = await mountExported(t, {}, () => Promise.resolve());
    const reader = new ReaderProcess(t);
    const before = await socketCount();
    const fd = await reader.ask('open', mount.at('exported'));
    assert.deepEqual(
      mount.transport.served().map(({ how }) => how),
      ['worker'],
    );
    const { stdout } = await run('sha256sum', [mount.at('exported')]);
    assert.equal(stdout.slice(0, 64), createHash('sha256').update(content).digest('hex'));
    await reader.ask('close', fd);
    await eventually('the connections are closed', async () =>
      (await socketCount()) <= before ? true : undefined,
    );
  });

  it('answer at the deadline when the server has stopped, come free, and read again when it goes on', async (t) => {
    const { qemu, mount } = await mountExported(t, { readTimeoutMs: 1000 });
    const [reader, healthy] = [new ReaderProcess(t), new ReaderProcess(t)];
    const fd = await reader.ask('open', mount.at('exported'));
    qemu.signal('SIGSTOP');
    const answer = reader.ask('pread', fd, 4 * MiB, 4096);
    assert.equal(await healthy.ask('direct', mount.at('healthy')), '4096');
    assert.equal(await answer, 'ETIMEDOUT');
    qemu.signal('SIGCONT');
    assert.equal(
      await eventually('the export is read again', async () => {
        const length = await reader.ask('pread', fd, 4 * MiB, 4096);
        return length === '4096' ? length : undefined;
      }),
      '4096',
    );
  });

  it('end buffered and direct reads of a frozen server at the same deadline, counted once', async (t) => {
    const readTimeoutMs = 3000;
    const { qemu, mount } = await mountExported(t, { readTimeoutMs }, () => new Promise(() => undefined));
    const [buffered, direct] = [new ReaderProcess(t), new ReaderProcess(t)];
    const fd = await buffered.ask('open', mount.at('exported'));
    qemu.signal('SIGSTOP');
    const timed = async (answer: Promise<string>): Promise<number> => {
      const from = performance.now();
      assert.equal(await answer, 'ETIMEDOUT');
      return performance.now() - from;
    };
    const waits = await Promise.all([
      timed(buffered.ask('pread', fd, 4 * MiB, 4096)),
      timed(direct.ask('direct', mount.at('exported'))),
    ]);
    for (const ms of waits) {
      assert.ok(ms > readTimeoutMs * 0.9, `${ms} ms`);
      assert.ok(ms < readTimeoutMs * 1.8, `${ms} ms: the deadline was counted twice`);
    }
  });

  it('give what is in memory already while the server is frozen', async (t) => {
    const { qemu, mount } = await mountExported(
      t,
      { readTimeoutMs: 2000 },
      () => new Promise(() => undefined),
    );
    const [reader, stalls] = [new ReaderProcess(t), new ReaderProcess(t)];
    const fd = await reader.ask('open', mount.at('exported'));
    assert.equal(await reader.ask('pread', fd, 2 * MiB, 4096), '4096');
    qemu.signal('SIGSTOP');
    const other = await stalls.ask('open', mount.at('exported'));
    assert.equal(await stalls.ask('pread', other, 6 * MiB, 4096), 'ETIMEDOUT');
    const again = stalls.ask('pread', other, 7 * MiB, 4096);
    assert.equal(
      await reader.ask('pread', fd, 2 * MiB + 8 * 4096, 4096),
      '4096',
      'of the piece around the first',
    );
    assert.equal(await again, 'ETIMEDOUT');
  });

  it('read any bytes at random', async (t) => {
    const { mount, content } = await mountExported(t);
    const copy = path.join(await temporaryFolder(undoneAfter(t)), 'copy');
    await writeFile(copy, content);
    const { stdout, stderr } = await run('python3', ['-c', AT_RANDOM, mount.at('exported'), copy]);
    assert.equal(stdout.trim(), 'equal', stderr);
  });

  it('fetch what is around a short read with it', async (t) => {
    const { qemu, mount } = await mountExported(t);
    const reader = new ReaderProcess(t);
    const fd = await reader.ask('open', mount.at('exported'));
    // Not one after the other: the kernel would read ahead, over the end of the piece.
    const [first, third, fifth] = [0, 2, 4].map((page) => 2 * MiB + page * 4096);
    assert.equal(await reader.ask('pread', fd, third ?? 0, 4096), '4096');
    await qemu.stop();
    assert.equal(await reader.ask('pread', fd, fifth ?? 0, 4096), '4096');
    assert.equal(await reader.ask('pread', fd, first ?? 0, 4096), '4096');
    assert.equal(await reader.ask('pread', fd, 6 * MiB, 4096), 'ETIMEDOUT', 'the server is gone');
  });

  it('leave a read that the server lost to the file system, which knows why', async (t) => {
    const { qemu, mount } = await mountExported(t);
    const reader = new ReaderProcess(t);
    const fd = await reader.ask('open', mount.at('exported'));
    assert.equal(await reader.ask('pread', fd, 0, 4096), '4096');
    await qemu.stop();
    assert.equal(await reader.ask('pread', fd, 4 * MiB, 4096), 'ETIMEDOUT');
    assert.ok((mount.filesystem.calls.read ?? 0) > 0);
  });
});
