import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { systemClock } from '../../src/async/clock.js';
import { endProcess } from '../../src/sys/processes/end-process.js';
import { findProcesses, runs } from '../../src/sys/processes/find-processes.js';
import { nameProcess } from '../../src/sys/processes/process-name.js';
import { hold, run, start } from '../../src/sys/processes/run-command.js';
import { openPidFd } from '../../src/sys/processes/pidfd.js';
import { stayAwake } from '../support/time.js';

const isRoot = process.getuid?.() === 0;
const NOBODY = 65534;

/** A real process called whatever it likes, until the test ends: says a line once it runs, then waits for its stdin. */
async function impostor(t: TestContext, argv0: string, argument: string, uid?: number): Promise<number> {
  const program = 'print("up", flush=True); import sys; sys.stdin.read()';
  const child = spawn('/usr/bin/python3', ['-c', program, argument], {
    argv0,
    stdio: ['pipe', 'pipe', 'ignore'],
    cwd: '/',
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  t.after(() => finish(child));
  await once(child.stdout, 'data');
  return child.pid ?? 0;
}

async function finish(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

describe('a process of ours', () => {
  it('is not one that only calls itself so', async (t) => {
    const argument = `--socket=/run/${randomUUID()}`;
    const pid = await impostor(t, '/usr/bin/qemu-nbd', argument);
    assert.equal(await runs(pid, 'qemu-nbd', argument), false);
    assert.deepEqual(await findProcesses('qemu-nbd', argument), []);
  });

  it('is not one of another user, whatever it runs', { skip: !isRoot }, async (t) => {
    const argument = randomUUID();
    const executable = await realpath('/usr/bin/python3');
    const name = executable.split('/').at(-1) ?? '';
    const theirs = await impostor(t, 'python3', argument, NOBODY);
    const ours = await impostor(t, 'python3', argument);
    assert.deepEqual(await findProcesses(name, argument), [ours]);
    assert.deepEqual(await findProcesses(name, argument, [NOBODY]), [theirs]);
  });

  it('is ended, and only it: one that proves to be another is left alone', async (t) => {
    const pid = await impostor(t, 'python3', 'x');
    await endProcess(pid, systemClock, () => Promise.resolve(false));
    assert.notEqual(nameProcess(pid), undefined, 'it lives on');
    stayAwake(t);
    await endProcess(pid, systemClock);
    assert.equal(nameProcess(pid), undefined);
  });
});

describe('a pidfd', () => {
  it('signals its process, and after its end nobody', async (t) => {
    const child = spawn('sleep', ['600'], { stdio: 'ignore' });
    t.after(() => finish(child));
    await once(child, 'spawn');
    const held = openPidFd(child.pid ?? 0);
    assert.ok(held !== undefined);
    t.after(() => held.close());
    const gone = once(child, 'exit');
    assert.equal(held.signal('SIGTERM'), true);
    assert.deepEqual(await gone, [null, 'SIGTERM']);
    assert.equal(held.signal('SIGTERM'), false);
    assert.equal(openPidFd(child.pid ?? 0), undefined);
  });
});

describe('the environment of a program we start', () => {
  const names = (text: string, separator: string): string[] =>
    text
      .split(separator)
      .flatMap((line) => /^(\w+)=/.exec(line)?.[1] ?? [])
      .filter((name) => !['PWD', 'SHLVL', '_'].includes(name))
      .sort();

  it('has a path and a language, and nothing of ours', { timeout: 60_000 }, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'cinderfs-environment-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    // What start() starts keeps no process alive.
    stayAwake(t);
    process.env.OS_PASSWORD = 'never-in-a-child';
    t.after(() => delete process.env.OS_PASSWORD);

    const printed = await run({ program: 'env', args: [], package: 'coreutils' }, { timeoutMs: 10_000 });
    assert.deepEqual(names(printed, '\n'), ['LC_ALL', 'PATH']);

    const sleeper = { program: 'sleep', args: ['600'], package: 'coreutils' };
    const { pid, ended } = await start(sleeper, join(folder, 'log'));
    const environ = await readFile(`/proc/${pid}/environ`, 'utf8');
    process.kill(pid, 'SIGKILL');
    await ended;
    assert.deepEqual(names(environ, '\0'), ['LC_ALL', 'PATH']);

    const holder = {
      program: 'sh',
      args: ['-c', 'env >"$0"; echo {}; cat', join(folder, 'env')],
      package: 'x',
    };
    const letGo = await hold(holder, { input: '{}', timeoutMs: 10_000 });
    const held = await readFile(join(folder, 'env'), 'utf8');
    await letGo();
    assert.deepEqual(names(held, '\n'), ['LC_ALL', 'PATH']);
  });
});
