import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import path from 'node:path';
import { describe, it } from 'node:test';
import { silentLog } from '../../src/log.js';
import { cannotMount, mountFiles, randomFile } from '../fuse/engine-mount.js';
import { ReaderProcess } from '../fuse/reader-process.js';
import { SourceProcess } from '../fuse/source-process.js';
import { quietFor } from '../support/time.js';

const MiB = 2 ** 20;

/** Opens a file with open(2) as it is: perl tries nothing again. USR1 is handled. */
const OPENER = [
  'use Fcntl;',
  '$SIG{USR1} = sub {};',
  'sysopen(my $file, $ARGV[0], O_RDONLY) or die "failed: $!";',
  'print "opened";',
].join(' ');

/** Opens a file and, told to, reads one page of it, once. USR1 is handled. */
const READER = [
  'use Fcntl;',
  '$SIG{USR1} = sub {};',
  'sysopen(my $file, $ARGV[0], O_RDONLY) or die "open: $!";',
  '$| = 1; print "opened "; <STDIN>;',
  'sysseek($file, 8 << 20, 0);',
  'my $got = sysread($file, my $bytes, 4096);',
  'print defined $got ? "read $got" : "failed: $!";',
].join(' ');

function opener(file: string): ChildProcess {
  return spawn('perl', ['-e', OPENER, file], { stdio: ['ignore', 'pipe', 'inherit'] });
}

describe('signals to a program that waits in open', { skip: cannotMount, timeout: 60_000 }, () => {
  it('let it wait on when the program handles them, and the open succeeds', async (t) => {
    let arrived: () => void = () => undefined;
    let goOn: () => void = () => undefined;
    const waiting = new Promise<void>((resolve) => (arrived = resolve));
    const released = new Promise<void>((resolve) => (goOn = resolve));
    let interrupted = false;
    const opening = async (signal: AbortSignal | undefined): Promise<void> => {
      signal?.addEventListener('abort', () => (interrupted = true));
      arrived();
      await released;
    };
    const { at, filesystem } = await mountFiles(t, () => [
      { name: 'slow', size: 4, content: Buffer.from('text'), opening },
      { name: 'other', size: 4, content: Buffer.from('text') },
    ]);
    const child = opener(at('slow'));
    t.after(() => child.kill('SIGKILL'));
    const said: Buffer[] = [];
    child.stdout?.on('data', (chunk: Buffer) => said.push(chunk));
    const ended = once(child, 'close');
    await waiting;
    child.kill('SIGUSR1');
    // The kernel sends INTERRUPT before anything that the next program asks.
    const other = opener(at('other'));
    await once(other, 'close');
    goOn();
    assert.deepEqual(await ended, [0, null], Buffer.concat(said).toString());
    assert.match(Buffer.concat(said).toString(), /opened/);
    assert.equal(interrupted, false);
    assert.equal(filesystem.calls.open, 2);
  });

  it('end the wait when they mean to end the program', async (t) => {
    let arrived: () => void = () => undefined;
    const waiting = new Promise<void>((resolve) => (arrived = resolve));
    const { at, filesystem } = await mountFiles(t, () => [
      {
        name: 'slow',
        size: 4,
        content: Buffer.from('text'),
        opening: (signal) =>
          new Promise((_, reject) => {
            signal?.addEventListener('abort', () => reject(signal.reason as Error));
            arrived();
          }),
      },
    ]);
    const child = opener(at('slow'));
    t.after(() => child.kill('SIGKILL'));
    child.stdout?.resume();
    const ended = once(child, 'close');
    await waiting;
    child.kill('SIGINT');
    assert.deepEqual(await ended, [null, 'SIGINT']);
    assert.equal(filesystem.openHandles.size, 0);
  });
});

describe('signals to a program that waits for a source', { skip: cannotMount, timeout: 60_000 }, () => {
  it('let it wait on when the program handles them, whoever serves its read', async (t) => {
    const stalls = new EventEmitter();
    const log = { ...silentLog, warn: () => void stalls.emit('stalled') };
    const source = await SourceProcess.start(t, 16 * MiB);
    const { at } = await mountFiles(
      t,
      async (dir) => {
        await randomFile(path.join(dir, 'backing'), MiB);
        return [
          { name: 'hung', size: 16 * MiB, source: { kind: 'file', path: source.file } },
          { name: 'healthy', size: MiB, source: { kind: 'file', path: path.join(dir, 'backing') } },
        ];
      },
      { readTimeoutMs: 60_000, log },
    );
    const stalled = once(stalls, 'stalled');
    const readers = [0, 1].map(() =>
      spawn('perl', ['-e', READER, at('hung')], { stdio: ['pipe', 'pipe', 'inherit'] }),
    );
    t.after(() => readers.forEach((child) => child.kill('SIGKILL')));
    await Promise.all(readers.map((child) => once(child.stdout, 'readable')));
    source.stop();
    const said = readers.map(async (child) => (await child.stdout.toArray()).join(''));
    // The first is inside a worker; the second queues behind it.
    readers[0]?.stdin.end('\n');
    await stalled;
    readers[1]?.stdin.end('\n');
    const healthy = new ReaderProcess(t);
    for (let round = 0; round < 3; round += 1) {
      readers.forEach((child) => child.kill('SIGUSR1'));
      // The kernel sends INTERRUPT before anything that is asked later.
      assert.equal(await healthy.ask('direct', at('healthy')), '4096');
      await quietFor(300, 'a reader ends', () =>
        assert.deepEqual(
          readers.map(({ exitCode, signalCode }) => exitCode ?? signalCode),
          [null, null],
        ),
      );
    }
    source.resume();
    assert.deepEqual(await Promise.all(said), ['opened read 4096', 'opened read 4096']);
  });
});
