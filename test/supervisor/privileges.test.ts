/** What the processes of a mount are not given, because they need it for nothing. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { it } from 'node:test';
import { CAPABILITY } from '../../src/sys/processes/privileges.js';
import { engineOf } from '../support/engines.js';
import { findServers } from '../support/leftovers.js';
import { endsClean, supervisedWorld } from './world.js';

const skip = process.getuid?.() === 0 ? false : 'mounting needs root';
const FOR_BRICK = new Set(['sys_module', 'mknod', 'net_raw']);

it('an engine and what it starts: few capabilities, no core dumps', { skip, timeout: 120_000 }, async (t) => {
  const world = await supervisedWorld(t, ['--connector=qemu']);
  await readFile(world.target.file);
  const supervisor = world.mounted.child.pid ?? 0;
  const engine = await engineOf(supervisor);
  const [server] = await findServers(world.dir);
  assert.ok(engine !== undefined && server !== undefined);
  for (const pid of [engine, server]) {
    const had = await capabilities(pid);
    for (const [name, bit] of Object.entries(CAPABILITY)) assert.ok(!had.has(bit), `${pid} has ${name}`);
  }
  assert.ok((await capabilities(engine)).has(21), 'mounting and passthrough take sys_admin');
  for (const pid of [supervisor, engine, server])
    assert.match(await readFile(`/proc/${pid}/limits`, 'utf8'), /^Max core file size\s+0\s+0\s/m);
  const table = await readFile('/proc/self/mountinfo', 'utf8');
  assert.match(table, new RegExp(` ${world.mounted.mountpoint} ro,nosuid,nodev,noexec,noatime `));
  await endsClean(world);
});

it('os-brick keeps what it may need', { skip, timeout: 120_000 }, async (t) => {
  const world = await supervisedWorld(t);
  const engine = await engineOf(world.mounted.child.pid ?? 0);
  assert.ok(engine);
  const had = await capabilities(engine);
  for (const [name, bit] of Object.entries(CAPABILITY))
    assert.equal(had.has(bit), FOR_BRICK.has(name) && (await capabilities(process.pid)).has(bit), name);
  await endsClean(world);
});

it('nothing that ships depends on fuse-native', async () => {
  const text = await readFile(new URL('../../../package.json', import.meta.url), 'utf8');
  const { dependencies, optionalDependencies } = JSON.parse(text) as Record<string, Record<string, string>>;
  assert.ok(!('fuse-native' in { ...dependencies, ...optionalDependencies }));
});

/** Numbers of the capabilities that an exec of root in `pid` can give. */
async function capabilities(pid: number): Promise<ReadonlySet<number>> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const set = BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return new Set(
    Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => ((set >> BigInt(bit)) & 1n) === 1n),
  );
}
