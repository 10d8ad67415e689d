import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, open, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { systemClock } from '../../src/async/clock.js';
import { endProcess } from '../../src/sys/processes/end-process.js';
import { findProcesses, runs } from '../../src/sys/processes/find-processes.js';
import { nameProcess } from '../../src/sys/processes/process-name.js';
import { lockByCommand } from '../../src/sys/files/file-lock.js';
import { type Command, hold, run, start } from '../../src/sys/processes/run-command.js';
import { runSystemCommand } from '../../src/sys/processes/system-command.js';
import { fastClock } from '../fakes/fast-clock.js';
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
    const letGo = await hold(holder, { clock: systemClock, input: '{}', held: '{}', timeoutMs: 10_000 });
    const held = await readFile(join(folder, 'env'), 'utf8');
    await letGo();
    assert.deepEqual(names(held, '\n'), ['LC_ALL', 'PATH']);
  });

  it('is no other for flock(1)', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'cinderfs-environment-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const seen = join(folder, 'seen');
    await writeFile(join(folder, 'flock'), `#!/bin/sh\nenv >'${seen}'\n`, { mode: 0o755 });
    const { PATH = '' } = process.env;
    t.after(() => (process.env.PATH = PATH));
    process.env.PATH = `${folder}:${PATH}`;
    process.env.OS_PASSWORD = 'never-in-a-child';
    t.after(() => delete process.env.OS_PASSWORD);
    const file = await open(seen, 'w');
    t.after(() => file.close());
    assert.equal(lockByCommand(file.fd), true);
    assert.deepEqual(names(await readFile(seen, 'utf8'), '\n'), ['LC_ALL', 'PATH']);
  });
});

describe('a command that holds something', () => {
  const shell = (script: string): Command => ({ program: 'sh', args: ['-c', script], package: 'dash' });
  const options = { clock: fastClock(100), timeoutMs: 60_000, input: 'please', held: 'mine' };

  it('holds it once it has said the line, in however many pieces, until it is let go of', async () => {
    const letGo = await hold(shell('read line; printf mi; printf "ne\\n"; cat >/dev/null'), options);
    await letGo();
  });

  it('refuses with any other line, however it comes', async () => {
    for (const script of [
      'printf \'{"err\'; read line; printf \'or": "busy"}\'; exit 1',
      'echo mine too; exit 1',
      'exit 1',
    ])
      await assert.rejects(hold(shell(script), options), { message: /exit status 1/ }, script);
  });

  it('is killed, with what it started, when it says nothing or does not end after a refusal', async () => {
    for (const script of ['sleep 600 | cat', 'echo no; sleep 600 | cat'])
      await assert.rejects(hold(shell(script), { ...options, timeoutMs: 10_000 }), {
        message: /killed by SIGKILL/,
      });
  });
});

describe('a command of the system', () => {
  const asked = { program: 'sh', timeoutMs: 10_000 };

  it('has the descriptors, and what it says is the error', async () => {
    const file = await open('/proc/self/comm');
    const args = ['-c', 'read name <&3; echo "$name $EXTRA" >&2; exit 3'];
    const run = runSystemCommand({ ...asked, args, descriptors: [file.fd], environment: { EXTRA: 'more' } });
    await assert.rejects(run, { code: 'fuse_failed', message: /^sh failed \(3\): \S+ more$/ });
    await file.close();
    await runSystemCommand({ ...asked, args: ['-c', 'exit 0'] });
  });

  it('is missing, or killed at its deadline', async () => {
    const missing = runSystemCommand({ ...asked, program: 'no-such-program', args: [] });
    await assert.rejects(missing, { code: 'fuse_failed', message: 'no-such-program is not installed' });
    const endless = runSystemCommand({ program: 'sleep', args: ['600'], timeoutMs: 100 });
    await assert.rejects(endless, { code: 'fuse_failed', message: 'sleep 600 does not end' });
  });
});
