import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { cannotMount, mountFiles } from '../fuse/engine-mount.js';

/** Opens a file with open(2) as it is: perl tries nothing again. USR1 is handled. */
const OPENER = [
  'use Fcntl;',
  '$SIG{USR1} = sub {};',
  'sysopen(my $file, $ARGV[0], O_RDONLY) or die "failed: $!";',
  'print "opened";',
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
