import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { it, type TestContext } from 'node:test';
import { RequestAges } from '../../src/fs/fuse/recovery/request-ages.js';
import { RESENT } from '../../src/fs/fuse/protocol/opcodes.js';
import { temporaryFolder } from '../support/temporary.js';

async function world(t: TestContext) {
  const file = path.join(await temporaryFolder(t), 'held-since');
  let now = 1_000_000;
  return { file, open: () => new RequestAges(file, () => now), pass: (ms: number) => (now += ms) };
}

it('knows since when a request waits, also of those who died, and when it is sent again', async (t) => {
  const { open, pass } = await world(t);
  const first = open();
  assert.equal(first.age(10n), 0);
  pass(300);
  assert.equal(first.age(10n), 300);
  assert.equal(first.age(12n), 0);
  pass(200);
  const second = open();
  assert.equal(second.age(10n | RESENT), 500);
  assert.equal(second.age(12n), 200);
  assert.equal(second.age(14n), 0);
});

it('forgets what was answered, and what is too old to wait still', async (t) => {
  const { open, pass } = await world(t);
  const first = open();
  first.age(10n);
  first.answered(10n);
  assert.equal(first.age(10n), 0);
  pass(3 * 3_600_000);
  assert.equal(open().age(10n), 0);
});

it('takes a file that is cut short, or away', async (t) => {
  const { file, open, pass } = await world(t);
  open().age(10n);
  pass(100);
  writeFileSync(file, '12 10', { flag: 'a' });
  const second = open();
  assert.equal(second.age(10n), 100);
  assert.equal(second.age(12n), 0);
  await rm(path.dirname(file), { recursive: true });
  assert.equal(second.age(14n), 0);
  assert.equal(open().age(10n), 0);
});
