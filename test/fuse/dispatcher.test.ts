import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { systemClock, type Clock } from '../../src/async/clock.js';
import { ROOT_NODE } from '../../src/fs/contract/filesystem.js';
import { Backings } from '../../src/fs/fuse/files/backings.js';
import { Descriptors } from '../../src/fs/fuse/files/descriptors.js';
import { DirectorySnapshots } from '../../src/fs/fuse/operations/directory-snapshots.js';
import { HandleQuota } from '../../src/fs/fuse/files/handle-quota.js';
import { Dispatcher } from '../../src/fs/fuse/operations/dispatcher.js';
import { RestoredFiles } from '../../src/fs/fuse/files/restored-files.js';
import { KnownNodes } from '../../src/fs/fuse/operations/known-nodes.js';
import {
  BATCH_FORGET_IN,
  ENTRY_OUT,
  FORGET_IN,
  FORGET_ONE,
  GETXATTR_IN,
  GETXATTR_OUT,
  IN_HEADER,
  INTERRUPT_IN,
  OPEN_IN,
  OPEN_OUT,
  READ_IN,
  RELEASE_IN,
} from '../../src/fs/fuse/protocol/messages.js';
import { OpenFiles } from '../../src/fs/fuse/files/open-files.js';
import { MountSources } from '../../src/sources/mount-sources.js';
import { sourceKinds } from '../../src/sources/registry.js';
import { Opcode } from '../../src/fs/fuse/protocol/opcodes.js';
import { silentLog } from '../../src/log.js';
import { ManualClock } from '../fakes/manual-clock.js';
import { MemoryKernel } from '../fakes/memory-kernel.js';
import { eventually } from '../support/eventually.js';
import { assertProperty } from '../support/seeds.js';
import type { MemoryFile } from './memory-filesystem.js';
import { MemoryFilesystem } from './memory-filesystem.js';

/** A dispatcher whose kernel is in memory. */
function harness(
  given: readonly MemoryFile[] = [],
  { delivered = true, clock = systemClock }: { delivered?: boolean; clock?: Clock } = {},
) {
  const filesystem = new MemoryFilesystem(given);
  const kernel = new MemoryKernel();
  kernel.delivers = delivered;
  const warnings: string[] = [];
  const nodes = new KnownNodes();
  const directories = new Map<number, never>();
  const files = new OpenFiles({
    descriptors: new Descriptors(new MountSources(sourceKinds(), 1)),
    backings: new Backings(undefined, silentLog),
    onFenced: () => undefined,
  });
  const dispatcher = new Dispatcher({
    context: {
      filesystem,
      attributeTtlSeconds: 60,
      nodes,
      files,
      earlier: new RestoredFiles({ journal: undefined, filesystem, files }),
      tookOver: false,
      directories,
      snapshots: new DirectorySnapshots(),
      quota: new HandleQuota(100),
      nextDirectory: () => directories.size + 1,
      onOpened: () => undefined,
      routes: { kept: () => undefined, queue: () => false },
    },
    channel: kernel,
    clock,
    readTimeoutMs: 1000,
    openTimeoutMs: 1000,
    log: { ...silentLog, warn: (_fields, message) => void warnings.push(message) },
    onInterrupt: () => false,
  });
  return { dispatcher, filesystem, answers: kernel.answers, warnings, nodes };
}

let last = 0n;

function request(opcode: number, node: number, ...body: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat(body);
  last += 2n;
  const header = IN_HEADER.encode({
    len: IN_HEADER.size + bytes.length,
    opcode,
    unique: last,
    nodeid: node,
  });
  return Buffer.concat([header, bytes]);
}

const named = (name: string): Buffer => Buffer.from(`${name}\0`);

describe('requests', () => {
  it('are run once when they come again before they are answered, and taken back at the end of the mount', async () => {
    let attach = (): void => undefined;
    const attached = new Promise<void>((resolve) => (attach = resolve));
    const file = { name: 'a', size: 3, content: Buffer.from('abc'), opening: () => attached };
    const { dispatcher, filesystem, answers } = harness([file]);
    const node = (await filesystem.lookup(ROOT_NODE, 'a')).node;
    const open = request(Opcode.OPEN, node, OPEN_IN.encode({}));
    dispatcher.dispatch(open);
    dispatcher.dispatch(open);
    await turn();
    dispatcher.abandon();
    attach();
    for (let turns = 0; turns < 10; turns += 1) await turn();
    assert.deepEqual([answers.length, filesystem.openHandles.size, filesystem.calls.open], [1, 0, 1]);
  });

  it('tell the file system of a source that the workers cannot open, before they give its file back', async () => {
    const source = { kind: 'file', path: '/nonexistent/volume' } as const;
    const { dispatcher, filesystem, answers } = harness([{ name: 'a', size: 3, source }]);
    const { node } = await filesystem.lookup(ROOT_NODE, 'a');
    dispatcher.dispatch(request(Opcode.OPEN, node, OPEN_IN.encode({})));
    await eventually('it is answered', () => Promise.resolve(answers[0]));
    assert.equal(answers[0]?.errno, 'EIO');
    assert.deepEqual(filesystem.failures, [{ file: 'a', code: 'read_failed' }]);
    assert.equal(filesystem.openHandles.size, 0);
  });

  it('survives any bytes, and answers no request twice', async () => {
    const opcodes = fc.oneof(fc.constantFrom(...Object.values(Opcode)), fc.nat(70));
    await assertProperty(
      fc.asyncProperty(opcodes, fc.uint8Array({ maxLength: 120 }), fc.nat(200), async (opcode, body, cut) => {
        const { dispatcher, answers } = harness([{ name: 'a', size: 3, content: Buffer.from('abc') }]);
        const whole = request(opcode, ROOT_NODE, Buffer.from(body));
        dispatcher.dispatch(whole);
        dispatcher.dispatch(whole.subarray(0, cut));
        dispatcher.dispatch(Buffer.from(body));
        await turn();
        const uniques = answers.map(({ unique }) => unique);
        // Cut exactly at its end, the same request was sent twice.
        const sent = cut >= whole.length ? 2 : 1;
        assert.ok(uniques.filter((unique) => unique === last).length <= sent);
      }),
      { numRuns: 500 },
    );
  });

  it('drops a request that lies about its length or has no end of a name, with a line', () => {
    const { dispatcher, answers, warnings } = harness();
    const long = request(Opcode.LOOKUP, ROOT_NODE, named('a'));
    dispatcher.dispatch(long.subarray(0, long.length - 1));
    dispatcher.dispatch(request(Opcode.LOOKUP, ROOT_NODE, Buffer.from('endless')));
    dispatcher.dispatch(request(Opcode.BATCH_FORGET, 0, BATCH_FORGET_IN.encode({ count: 2 ** 31 })));
    assert.deepEqual(answers, []);
    assert.equal(warnings.length, 3);
  });

  it('answers what it does not know with ENOSYS and what would write with EROFS', () => {
    const { dispatcher, answers } = harness();
    dispatcher.dispatch(request(4096, ROOT_NODE));
    dispatcher.dispatch(request(Opcode.MKDIR, ROOT_NODE, named('d')));
    dispatcher.dispatch(request(Opcode.IOCTL, ROOT_NODE));
    assert.deepEqual(
      answers.map(({ errno }) => errno),
      ['ENOSYS', 'EROFS', 'ENOTTY'],
    );
  });

  it('counts lookups until they are forgotten', async () => {
    const { dispatcher, answers, nodes } = harness([{ name: 'a', size: 1 }]);
    for (let n = 0; n < 5; n += 1) dispatcher.dispatch(request(Opcode.LOOKUP, ROOT_NODE, named('a')));
    await turn();
    const node = ENTRY_OUT.decode(answers[0]?.payload ?? Buffer.alloc(0)).nodeid;
    assert.equal(nodes.count(node), 5);
    dispatcher.dispatch(request(Opcode.FORGET, node, FORGET_IN.encode({ nlookup: 2 })));
    assert.equal(nodes.count(node), 3);
    const one = FORGET_ONE.encode({ nodeid: node, nlookup: 3 });
    dispatcher.dispatch(request(Opcode.BATCH_FORGET, 0, BATCH_FORGET_IN.encode({ count: 1 }), one));
    assert.equal(nodes.size, 0);
    assert.equal(answers.length, 5);
  });

  it('takes back what the kernel did not take', async () => {
    const { dispatcher, nodes, filesystem } = harness([{ name: 'a', size: 1 }], { delivered: false });
    const node = (await filesystem.lookup(ROOT_NODE, 'a')).node;
    dispatcher.dispatch(request(Opcode.LOOKUP, ROOT_NODE, named('a')));
    dispatcher.dispatch(request(Opcode.OPEN, node, OPEN_IN.encode({})));
    await turn();
    assert.equal(nodes.size, 0);
    assert.equal(filesystem.openHandles.size, 0);
    assert.equal(filesystem.calls.release, 1);
  });

  it('tells how long an attribute is before it hands it over', async () => {
    const { dispatcher, answers, filesystem } = harness([
      { name: 'a', size: 1, attributes: { 'user.x': '12345' } },
    ]);
    const node = (await filesystem.lookup(ROOT_NODE, 'a')).node;
    for (const size of [0, 4, 5])
      dispatcher.dispatch(request(Opcode.GETXATTR, node, GETXATTR_IN.encode({ size }), named('user.x')));
    await turn();
    assert.equal(GETXATTR_OUT.decode(answers[0]?.payload ?? Buffer.alloc(0)).size, 5);
    assert.equal(answers[1]?.errno, 'ERANGE');
    assert.equal(answers[2]?.payload?.toString(), '12345');
  });

  it('answers an interrupted open with EINTR, once, and releases what comes of it', async () => {
    let opened: () => void = () => undefined;
    const late = new Promise<void>((resolve) => (opened = resolve));
    const { dispatcher, answers, filesystem } = harness([{ name: 'a', size: 1, opening: () => late }]);
    const node = (await filesystem.lookup(ROOT_NODE, 'a')).node;
    dispatcher.dispatch(request(Opcode.OPEN, node, OPEN_IN.encode({})));
    const unique = last;
    dispatcher.dispatch(request(Opcode.INTERRUPT, 0, INTERRUPT_IN.encode({ unique })));
    await turn();
    opened();
    await eventually('the late open is released', () =>
      Promise.resolve(filesystem.calls.release === 1 ? true : undefined),
    );
    assert.deepEqual(answers, [{ unique, errno: 'EINTR' }]);
    assert.equal(dispatcher.pending, 0);
  });

  it('ends a read at its deadline, counted from when it came to a worker', async () => {
    const clock = new ManualClock();
    const hangs = { name: 'a', size: 8, reading: () => new Promise<void>(() => undefined) };
    const { dispatcher, answers, filesystem } = harness([hangs], { clock });
    await clock.advance(5000);
    const node = (await filesystem.lookup(ROOT_NODE, 'a')).node;
    dispatcher.dispatch(request(Opcode.OPEN, node, OPEN_IN.encode({})));
    await turn();
    const { fh } = OPEN_OUT.decode(answers.pop()?.payload ?? Buffer.alloc(0));
    dispatcher.dispatch(request(Opcode.READ, node, READ_IN.encode({ fh, size: 8 })), 4300);
    const retried = { unique: 99n, pid: 0, fh, offset: 0, length: 8, uncached: false };
    dispatcher.read({ job: retried, since: 4200 });
    await clock.advance(250);
    assert.deepEqual(answers, [{ unique: 99n, errno: 'ETIMEDOUT' }]);
    await clock.advance(100);
    assert.deepEqual(answers.at(-1), { unique: last, errno: 'ETIMEDOUT' });
  });

  it('has the kernel ask again when an interrupt overtakes its request', () => {
    const { dispatcher, answers } = harness();
    dispatcher.dispatch(request(Opcode.INTERRUPT, 0, INTERRUPT_IN.encode({ unique: 4711n })));
    assert.equal(answers[0]?.errno, 'EAGAIN');
  });

  it('gives a handle back at release, and answers a second one all the same', async () => {
    const { dispatcher, answers, filesystem } = harness([{ name: 'a', size: 1 }]);
    const node = (await filesystem.lookup(ROOT_NODE, 'a')).node;
    dispatcher.dispatch(request(Opcode.OPEN, node, OPEN_IN.encode({})));
    await turn();
    const { fh } = OPEN_OUT.decode(answers[0]?.payload ?? Buffer.alloc(0));
    for (let n = 0; n < 2; n += 1)
      dispatcher.dispatch(request(Opcode.RELEASE, node, RELEASE_IN.encode({ fh })));
    assert.equal(filesystem.calls.release, 1);
    assert.equal(answers.length, 3);
  });
});
