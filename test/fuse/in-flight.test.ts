import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it, type TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import { InFlight } from '../../src/fs/fuse/recovery/in-flight.js';
import { MAX_SLOTS, SLOT_BYTES } from '../../src/fs/fuse/shared/in-flight-slots.js';
import { Inbox } from '../../src/fs/fuse/channel/dev-fuse/inbox.js';
import { systemCalls } from '../../src/sys/calls/system-calls.js';
import { IN_HEADER } from '../../src/fs/fuse/protocol/messages.js';
import { Opcode } from '../../src/fs/fuse/protocol/opcodes.js';
import { decodeRequest } from '../../src/fs/fuse/protocol/request.js';
import { openInFlight } from '../../src/fs/fuse/recovery/takeover-state.js';
import { silentLog } from '../../src/log.js';
import { temporaryFolder } from '../support/temporary.js';

const SEATS = 2;

function request(unique: bigint, opcode: number = Opcode.OPEN): Buffer {
  const body = Buffer.from(`body of ${unique}`);
  const len = IN_HEADER.size + body.length;
  return Buffer.concat([IN_HEADER.encode({ len, unique, opcode }), body]);
}

async function world(t: TestContext) {
  const file = path.join(await temporaryFolder(t), 'in-flight');
  const calls = systemCalls();
  assert.ok(calls, 'koffi is installed');
  const warnings: string[] = [];
  const log = { ...silentLog, warn: (_: object, text: string) => void warnings.push(text) };
  const open = (fresh: boolean): InFlight => new InFlight({ path: file, fresh, workers: SEATS, calls, log });
  const first = open(true);
  /** What a worker does with a request, up to the point where it is the main thread's. */
  const inbox = (workerId = 0): Inbox =>
    new Inbox({ fuseFd: -1, workerId, share: first.share, calls: systemCalls });
  const pass = (from: Inbox, unique: bigint): void => {
    request(unique).copy(from.request);
    from.pass((slot) => first.took(unique, slot));
  };
  return { file, first, open, inbox, pass, warnings };
}

const uniques = (left: readonly Buffer[]): (bigint | undefined)[] =>
  left.map((bytes) => decodeRequest(bytes)?.unique);

it('leaves to the next process what was read and not answered, wherever it was', async (t) => {
  const { first, open, inbox, pass } = await world(t);
  const [one, other] = [inbox(0), inbox(1)];
  for (const unique of [10n, 12n, 14n]) pass(one, unique);
  request(8n).copy(other.request);
  request(16n).copy(one.request);
  one.done();
  first.answered(12n);
  const left = open(false).left(() => true);
  assert.deepEqual(uniques(left), [8n, 10n, 14n]);
  assert.ok(left[1]?.equals(request(10n)));
});

it('forgets what the kernel has an answer to, and interrupts', async (t) => {
  const { open, inbox, pass } = await world(t);
  const one = inbox();
  for (const unique of [10n, 12n, 13n]) pass(one, unique);
  const second = open(false);
  assert.deepEqual(uniques(second.left((unique) => unique !== 10n)), [12n]);
  second.answered(12n);
  assert.deepEqual(
    open(false).left(() => true),
    [],
  );
});

it('keeps what it found for the process after the next', async (t) => {
  const { open, inbox, pass } = await world(t);
  pass(inbox(), 10n);
  open(false).left(() => true);
  assert.deepEqual(uniques(open(false).left(() => true)), [10n]);
});

it('gives the request of a dead worker to the main thread', async (t) => {
  const { first, open, inbox } = await world(t);
  const one = inbox(1);
  request(20n).copy(one.request);
  assert.equal(first.vacate(0), undefined);
  const found = first.vacate(1);
  assert.ok(found?.equals(request(20n)));
  first.answered(20n);
  assert.deepEqual(
    open(false).left(() => true),
    [],
  );
});

it('grows as far as it may, says so, and lets readers wait for an answer then', async (t) => {
  const { file, first, inbox, pass, warnings } = await world(t);
  const one = inbox();
  // The last is the reader's own.
  for (let at = 1; at < MAX_SLOTS; at += 1) pass(one, BigInt(2 * at));
  assert.equal(warnings.length, 1, 'said once');
  assert.equal(readFileSync(file).length, MAX_SLOTS * SLOT_BYTES);
  const reader = new Worker(new URL('./inbox-thread.js', import.meta.url), { workerData: first.share });
  t.after(() => reader.terminate());
  await new Promise((resolve) => reader.once('message', resolve));
  first.answered(2n);
  const read = await new Promise((resolve) => reader.once('message', resolve));
  assert.equal(read, SLOT_BYTES, 'it has the slot that became free');
});

it('lets a mount start that cannot keep them, in one line, but no later engine', async (t) => {
  const { file, warnings } = await world(t);
  const log = { ...silentLog, warn: (_: object, text: string) => void warnings.push(text) };
  // Below a file there is room for nothing.
  const path = `${file}/in-flight`;
  const agreement = { minor: 37, flags: 0n };
  assert.equal(openInFlight({ path, fresh: true, agreement, workers: SEATS, log }), undefined);
  assert.deepEqual(warnings, ['crash recovery is not available; the mount ends with this process']);
  assert.throws(() => openInFlight({ path, fresh: false, agreement, workers: SEATS, log }), {
    code: 'fuse_failed',
  });
});

it('does not trust what is no request', async (t) => {
  const { file, open } = await world(t);
  const junk = Buffer.alloc(64 * SLOT_BYTES);
  junk.writeUInt32LE(7, 0);
  junk.writeUInt32LE(2 ** 31, SLOT_BYTES);
  writeFileSync(file, junk);
  assert.deepEqual(
    open(false).left(() => true),
    [],
  );
});
