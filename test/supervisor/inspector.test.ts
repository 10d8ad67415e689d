/** SIGUSR1 has Node open its inspector, on which any local user runs code as root: in no process of a mount. */
import assert from 'node:assert/strict';
import { readFile, readdir, readlink, rename, writeFile } from 'node:fs/promises';
import { it } from 'node:test';
import { engineOf } from '../support/engines.js';
import { eventually } from '../support/eventually.js';
import { run } from '../support/program.js';
import { quietFor } from '../support/time.js';
import { endsClean, supervisedWorld } from './world.js';

const skip = process.getuid?.() === 0 ? false : 'mounting needs root';
/** Node's inspector listened 40 to 90 ms after the signal where nothing kept it from doing so. */
const OPENS_MS = 1_000;

it('supervisor and engine', { skip, timeout: 120_000 }, async (t) => {
  const world = await supervisedWorld(t);
  const supervisor = world.mounted.child.pid ?? 0;
  const engine = await engineOf(supervisor);
  assert.ok(engine);
  await opensNothing([supervisor, engine]);
  assert.equal((await world.mounted.status()).engine_pid, engine, 'SIGUSR2 ends nothing');
  await endsClean(world);
});

it('what answers while no engine does', { skip, timeout: 120_000 }, async (t) => {
  const world = await supervisedWorld(t, ['--open-timeout=2', '--read-timeout=2']);
  const { mounted, dir } = world;
  const supervisor = mounted.child.pid ?? 0;
  const journal = `${dir}/state/attachments`;
  await rename(journal, `${journal}.aside`);
  await writeFile(journal, '');
  const engine = await engineOf(supervisor);
  assert.ok(engine);
  process.kill(engine, 'SIGKILL');
  const answerer = await eventually('it has started', () => runs(supervisor, 'answerer'));
  // While Node itself is starting, too: then the launcher closes what that opened.
  process.kill(answerer, 'SIGUSR1');
  const { stderr } = await run('stat', ['-f', mounted.mountpoint]);
  assert.match(stderr, /Input\/output error/, 'it answers');
  await opensNothing([answerer]);
});

/** Its bit in /proc. */
const SIGUSR1 = 1n << 9n;

async function opensNothing(pids: readonly number[]): Promise<void> {
  for (const pid of pids) process.kill(pid, 'SIGUSR1');
  await quietFor(OPENS_MS, 'a process listens', async () => {
    for (const pid of pids) assert.deepEqual(await listening(pid), [], `process ${pid} listens`);
  });
  for (const pid of pids) process.kill(pid, 'SIGUSR2');
  for (const pid of pids) assert.equal((await signals(pid, 'ShdPnd')) & SIGUSR1, 0n);
}

/** Ports on which `pid` listens, as its own network namespace shows them. */
async function listening(pid: number): Promise<readonly string[]> {
  const fds = await readdir(`/proc/${pid}/fd`);
  const links = await Promise.all(fds.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')));
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`/proc/${pid}/net/${name}`, 'utf8')),
  );
  return tables
    .flatMap((table) => table.split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === '0A' && links.includes(`socket:[${inode ?? ''}]`))
    .map(([, local]) => local ?? '');
}

async function signals(pid: number, field: string): Promise<bigint> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return BigInt(`0x${new RegExp(`^${field}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0'}`);
}

async function runs(parent: number, word: string): Promise<number | undefined> {
  const children = await readFile(`/proc/${parent}/task/${parent}/children`, 'utf8').catch(() => '');
  for (const child of children.trim().split(' ').map(Number)) {
    const words = await readFile(`/proc/${child}/cmdline`, 'latin1').catch(() => '');
    if (words.split('\0').includes(word)) return child;
  }
  return undefined;
}
