import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { describe, it } from 'node:test';
import type { TransportOptions } from '../../src/fs/contract/transport.js';
import type { EngineMount } from '../fuse/engine-mount.js';
import { cannotMount, mountFiles, randomFile } from '../fuse/engine-mount.js';
import { ReaderProcess } from '../fuse/reader-process.js';
import { SourceProcess } from '../fuse/source-process.js';
import { eventually } from '../support/eventually.js';

const MiB = 2 ** 20;

interface Hang {
  readonly mount: EngineMount;
  readonly source: SourceProcess;
}

/** A mount with an image `hung`, whose source another process serves, and two healthy ones. */
async function mountHung(test: TestContext, options: Partial<TransportOptions>): Promise<Hang> {
  const source = await SourceProcess.start(test, 128 * MiB);
  const mount = await mountFiles(
    test,
    async (dir) => {
      await randomFile(path.join(dir, 'backing'), MiB);
      return [
        { name: 'hung', size: 128 * MiB, source: { kind: 'file', path: source.file } },
        { name: 'healthy', size: MiB, source: { kind: 'file', path: path.join(dir, 'backing') } },
        { name: 'memory', size: MiB },
      ];
    },
    options,
  );
  return { source, mount };
}

/** `count` processes, each of which has the image open and, once it hangs, a read of its own part under way. */
async function readersOf(
  test: TestContext,
  { mount: { at }, source }: Hang,
  count: number,
): Promise<{ readers: ReaderProcess[]; answers: Promise<string>[] }> {
  const readers = Array.from({ length: count }, () => new ReaderProcess(test));
  const fds = await Promise.all(readers.map((reader) => reader.ask('open', at('hung'))));
  source.stop();
  const answers = readers.map((reader, n) => reader.ask('pread', fds[n] ?? '', (8 + 4 * n) * MiB, 4096));
  return { readers, answers };
}

/** Opens, stats and reads what is healthy; the milliseconds it took. */
async function useHealthy(reader: ReaderProcess, { at }: EngineMount): Promise<number> {
  const began = performance.now();
  for (const name of ['healthy', 'memory']) {
    assert.equal(await reader.ask('stat', at(name)), String(MiB));
    const fd = await reader.ask('open', at(name));
    assert.equal(await reader.ask('pread', fd, 0, MiB), String(MiB));
    await reader.ask('close', fd);
    assert.equal(await reader.ask('direct', at(name)), '4096');
  }
  return performance.now() - began;
}

describe('isolation of the kernel engine', { skip: cannotMount, timeout: 120_000 }, () => {
  it('serves other images while one hangs, and that one again when it comes back', async (t) => {
    const hang = await mountHung(t, { readTimeoutMs: 60_000 });
    const healthy = new ReaderProcess(t);
    await healthy.ask('stat', hang.mount.at('healthy'));
    const { answers } = await readersOf(t, hang, 16);
    for (let round = 0; round < 10; round += 1)
      assert.ok((await useHealthy(healthy, hang.mount)) < 10_000, 'far below the read deadline');
    hang.source.resume();
    assert.deepEqual(new Set(await Promise.all(answers)), new Set(['4096']));
    assert.equal(await healthy.ask('direct', hang.mount.at('hung')), '4096');
  });

  it('answers each reader of a hung image at the deadline, with bounded workers', async (t) => {
    const hang = await mountHung(t, { readTimeoutMs: 1500 });
    const threads = await threadCount();
    for (let round = 0; round < 3; round += 1) {
      const { answers, readers } = await readersOf(t, hang, 6);
      assert.deepEqual(new Set(await Promise.all(answers)), new Set(['ETIMEDOUT']));
      await Promise.all(readers.map((reader) => reader.kill()));
    }
    // Opened anew each round, the dead source costs the workers that met it at first, and no more.
    assert.ok((await threadCount()) - threads <= 4 * 4, 'at most four workers and their replacements');
    hang.source.resume();
    const reader = new ReaderProcess(t);
    assert.equal(await eventually('the source recovers', () => answered(reader, hang.mount)), '4096');
    // RELEASE comes after close(2) has returned.
    await eventually('every handle is given back', () =>
      Promise.resolve(hang.mount.transport.served().length === 0 ? true : undefined),
    );
  });

  it('lets go of a killed reader although its source hangs', async (t) => {
    const hang = await mountHung(t, { readTimeoutMs: 60_000 });
    const { readers, answers } = await readersOf(t, hang, 2);
    await Promise.all(readers.map((reader) => reader.kill()));
    assert.deepEqual(await Promise.all(answers), ['killed', 'killed']);
    hang.source.resume();
  });

  it('ends when told to although a source hangs', async (t) => {
    const hang = await mountHung(t, { readTimeoutMs: 60_000 });
    const { answers } = await readersOf(t, hang, 6);
    await hang.mount.transport.unmount({ abort: true });
    assert.equal(hang.mount.filesystem.openHandles.size, 0);
    for (const answer of await Promise.all(answers)) assert.match(answer, /^E/);
    hang.source.resume();
  });

  it('ends reads and opens that the file system does not answer', async (t) => {
    const never = new Promise<void>(() => undefined);
    let opened: () => void = () => undefined;
    const late = new Promise<void>((resolve) => (opened = resolve));
    const { at, filesystem } = await mountFiles(
      t,
      () => [
        { name: 'unread', size: MiB, reading: () => never },
        { name: 'unopened', size: MiB, opening: () => late },
      ],
      { readTimeoutMs: 500, openTimeoutMs: 500 },
    );
    const reader = new ReaderProcess(t);
    const fd = await reader.ask('open', at('unread'));
    assert.equal(await reader.ask('pread', fd, 0, 4096), 'ETIMEDOUT');
    await reader.ask('close', fd);
    assert.equal(await reader.ask('open', at('unopened')), 'ETIMEDOUT');
    opened();
    await eventually('the late open is released', () =>
      Promise.resolve(filesystem.calls.release === 2 ? true : undefined),
    );
    assert.equal(filesystem.openHandles.size, 0);
  });

  it('ends a waiting open at Ctrl-C and releases what comes of it', async (t) => {
    let opened: () => void = () => undefined;
    const late = new Promise<void>((resolve) => (opened = resolve));
    let signal: AbortSignal | undefined;
    const { at, filesystem } = await mountFiles(t, () => [
      {
        name: 'image',
        size: MiB,
        opening: (given) => {
          signal = given;
          return late;
        },
      },
    ]);
    const reader = new ReaderProcess(t);
    const answer = reader.ask('open', at('image'));
    await eventually('the open reaches the file system', () =>
      Promise.resolve(filesystem.calls.open === 1 ? true : undefined),
    );
    await reader.kill('SIGINT');
    assert.equal(await answer, 'killed');
    assert.equal(signal?.aborted, true);
    opened();
    await eventually('the late open is released', () =>
      Promise.resolve(filesystem.calls.release === 1 ? true : undefined),
    );
    assert.equal(filesystem.openHandles.size, 0);
  });
});

async function answered(reader: ReaderProcess, { at }: EngineMount): Promise<string | undefined> {
  const answer = await reader.ask('direct', at('hung'));
  return answer === '4096' ? answer : undefined;
}

async function threadCount(): Promise<number> {
  return (await readdir('/proc/self/task')).length;
}
