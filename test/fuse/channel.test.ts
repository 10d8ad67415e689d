/** What receives from the kernel and answers it does so by its channel alone: here one that is not /dev/fuse. */
import assert from 'node:assert/strict';
import { truncateSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { GETXATTR_IN, IN_HEADER, LSEEK_IN, READ_IN } from '../../src/fs/fuse/protocol/messages.js';
import { Opcode } from '../../src/fs/fuse/protocol/opcodes.js';
import { FallbackResponder } from '../../src/fs/fuse/recovery/fallback-responder.js';
import { RequestAges } from '../../src/fs/fuse/recovery/request-ages.js';
import { ReplyOwnership } from '../../src/fs/fuse/shared/reply-ownership.js';
import { handleNumber, HandleState, SharedHandles } from '../../src/fs/fuse/shared/shared-handles.js';
import { SharedOpens } from '../../src/fs/fuse/shared/shared-opens.js';
import { WorkerAnswers } from '../../src/fs/fuse/worker/answers.js';
import type { FromWorker } from '../../src/fs/fuse/worker/messages.js';
import { RequestLoop } from '../../src/fs/fuse/worker/request-loop.js';
import { loadSources } from '../../src/fs/fuse/worker/sources.js';
import { silentLog } from '../../src/log.js';
import { SharedPieces } from '../../src/sources/cache/shared-pieces.js';
import { MountSources } from '../../src/sources/mount-sources.js';
import { sourceKinds } from '../../src/sources/registry.js';
import { ManualClock, settle } from '../fakes/manual-clock.js';
import { MemoryKernel } from '../fakes/memory-kernel.js';
import { memoryWorkerChannel } from '../fakes/memory-worker-channel.js';
import { someBytes } from '../support/seeds.js';
import { temporaryFolder } from '../support/temporary.js';

const CONTENT = someBytes(300_000);
/** The source is longer than the image. */
const SIZE = CONTENT.length - 1000;
const FH = handleNumber(1, 1);
const WORKER = 0;

function request(unique: bigint, opcode: number, ...body: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat(body);
  const len = IN_HEADER.size + bytes.length;
  return Buffer.concat([IN_HEADER.encode({ len, opcode, unique }), bytes]);
}

const read = (unique: bigint, offset: number, size: number): Buffer =>
  request(unique, Opcode.READ, READ_IN.encode({ fh: FH, offset, size }));

/** A worker's loop, as worker.ts wires it, with one open file. */
async function worker(t: TestContext) {
  const file = path.join(await temporaryFolder(t), 'volume');
  await writeFile(file, CONTENT);
  const mount = new MountSources(sourceKinds(), 1);
  const source = await mount.publish({ kind: 'file', path: file });
  assert.ok(source);
  const { kind, published } = source;
  t.after(() => published.close());
  const handles = new SharedHandles();
  handles.publish(FH, { size: SIZE, kind, slot: published.slot, number: 0 }, HandleState.inline);
  const told: FromWorker[] = [];
  const tell = (message: FromWorker): void => void told.push(message);
  const seat = { workerId: WORKER, workers: 1, sources: mount.workerHalves };
  const sources = await loadSources(seat, () => undefined);
  const kernel = new MemoryKernel();
  const channel = memoryWorkerChannel(kernel, sources.memory);
  const claims = new ReplyOwnership(1);
  const start = {
    workerId: WORKER,
    handles: handles.memory,
    opens: new SharedOpens().memory,
    pieces: new SharedPieces(0).memory,
  };
  const answers = new WorkerAnswers({ start, channel, claims, sources, tell });
  const message = (): undefined => undefined;
  const loop = new RequestLoop({ workerId: WORKER, channel, claims, answers, keeps: false, tell, message });
  return { kernel, loop, told, file, handles };
}

describe('a worker, over any channel,', () => {
  it('answers reads out of memory and out of pages, and no byte behind the image', async (t) => {
    const { kernel, loop, told } = await worker(t);
    kernel.ask(read(2n, 4095, 5000), read(4n, 1, 200_000), read(6n, SIZE - 10, 4096), read(8n, SIZE, 4096));
    loop.run();
    assert.deepEqual(kernel.answers, [
      { unique: 2n, payload: CONTENT.subarray(4095, 9095) },
      { unique: 4n, payload: CONTENT.subarray(1, 200_001), paged: true },
      { unique: 6n, payload: CONTENT.subarray(SIZE - 10, SIZE) },
      { unique: 8n, payload: Buffer.alloc(0) },
    ]);
    assert.deepEqual(told, []);
  });

  it('answers what needs no file, forwards the rest as it came, and ends when the kernel lets go', async (t) => {
    const { kernel, loop, told } = await worker(t);
    const attribute = (name: string): Buffer =>
      Buffer.concat([GETXATTR_IN.encode({ size: 0 }), Buffer.from(`${name}\0`)]);
    const lookup = request(8n, Opcode.LOOKUP, Buffer.from('a\0'));
    const ours = request(10n, Opcode.GETXATTR, attribute('user.x'));
    kernel.ask(
      request(2n, Opcode.FLUSH),
      request(4n, Opcode.GETXATTR, attribute('security.capability')),
      request(6n, Opcode.LSEEK, LSEEK_IN.encode({ fh: FH, offset: 0, whence: 3 })),
      lookup,
      ours,
    );
    loop.run();
    assert.deepEqual(kernel.answers, [
      { unique: 2n, errno: 'ENOSYS' },
      { unique: 4n, errno: 'ENODATA' },
      { unique: 6n, payload: Buffer.alloc(8) },
    ]);
    assert.deepEqual(told, [new Uint8Array(lookup), new Uint8Array(ours)]);
  });

  it('leaves a read that failed, or whose file is fenced, to the main thread', async (t) => {
    const { kernel, loop, told, file, handles } = await worker(t);
    truncateSync(file, 100_000);
    const short = read(2n, 0, 200_000);
    const fenced = read(4n, 0, 10);
    kernel.ask(short);
    loop.run();
    handles.setState(FH, HandleState.fenced);
    kernel.ask(fenced);
    loop.run();
    assert.deepEqual(kernel.answers, []);
    const forwarded = told.filter((message) => message instanceof Uint8Array);
    assert.deepEqual(forwarded, [new Uint8Array(short), new Uint8Array(fenced)]);
  });
});

it('a fallback responder, over any channel, holds requests until their deadline and ends with the mount', async (t) => {
  const kernel = new MemoryKernel();
  const clock = new ManualClock();
  const responder = new FallbackResponder({
    channel: kernel,
    inFlight: undefined,
    since: new RequestAges(path.join(await temporaryFolder(t), 'held-since'), () => clock.now()),
    readTimeoutMs: 1000,
    openTimeoutMs: 2000,
    clock,
    log: silentLog,
  });
  const ran = responder.run();
  kernel.ask(
    read(2n, 0, 10),
    request(4n, Opcode.LOOKUP, Buffer.from('a\0')),
    request(6n, Opcode.FLUSH),
    request(8n, Opcode.RELEASE),
    request(0n, Opcode.FORGET, Buffer.alloc(8)),
  );
  await settle();
  assert.deepEqual(kernel.notifications, ['resend']);
  assert.deepEqual(kernel.answers, [{ unique: 6n, errno: 'ENOSYS' }]);
  await clock.advance(1000);
  assert.deepEqual(kernel.answers.at(-1), { unique: 2n, errno: 'EIO' });
  await clock.advance(1000);
  assert.deepEqual(kernel.answers.at(-1), { unique: 4n, errno: 'EIO' });
  kernel.end();
  await ran;
  assert.equal(kernel.answers.length, 3);
});
