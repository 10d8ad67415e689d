import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { CinderfsError } from '../../src/errors.js';
import type { Filesystem } from '../../src/fs/contract/filesystem.js';
import { NativeAdapter } from '../../src/fs/fuse-native/adapter.js';
import { replyOnce } from '../../src/fs/fuse-native/reply-once.js';
import { silentLog } from '../../src/log.js';
import { makeWorld } from '../conformance/world.js';
import type { World } from '../conformance/world.js';
import { ManualClock, settle } from '../fakes/manual-clock.js';

const { EIO, ETIMEDOUT } = constants.errno;
const OPTIONS = {
  mountpoint: '/nowhere',
  fsname: 'test',
  allowOther: false,
  readTimeoutMs: 30_000,
  openTimeoutMs: 120_000,
  attributeTtlSeconds: 60,
  passthrough: false,
  log: silentLog,
};

type Reply = (number | undefined)[];
type Answer = (...reply: Reply) => void;

interface Setup {
  readonly world: World;
  readonly clock: ManualClock;
  readonly adapter: NativeAdapter;
  /** Every answer to the request that `ask` made. */
  readonly answers: (ask: (answer: Answer) => void) => Reply[];
}

/** The adapter over a real file system, of which `broken` replaces what the test wants to go wrong. */
async function setup(t: TestContext, broken: Partial<Filesystem> = {}): Promise<Setup> {
  const world = await makeWorld(t);
  const clock = new ManualClock();
  const filesystem = new Proxy<Filesystem>(world.filesystem, {
    get(target, name) {
      const member: unknown = Reflect.get(name in broken ? broken : target, name);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
  const adapter = new NativeAdapter(filesystem, OPTIONS, clock);
  const answers: Setup['answers'] = (ask) => {
    const replies: Reply[] = [];
    ask((...reply) => replies.push(reply));
    return replies;
  };
  return { world, clock, adapter, answers };
}

/** Waits for the first answer, then for all that is still going on. */
async function answered(replies: Reply[]): Promise<void> {
  while (replies.length === 0) await settle();
  await settle();
}

describe('replyOnce', () => {
  it('passes the first reply on and says whether it was the one', () => {
    const replies: number[] = [];
    const reply = replyOnce((result) => replies.push(result));
    assert.deepEqual([reply(1), reply(2), reply(3)], [true, false, false]);
    assert.deepEqual(replies, [1]);
  });
});

describe('the fuse-native adapter', () => {
  it('answers once when the file system throws at once', async (t) => {
    const { adapter, answers } = await setup(t, {
      getattr: () => {
        throw new TypeError('a bug');
      },
    });
    const replies = answers((answer) => adapter.operations().getattr('/', (error) => answer(error)));
    await answered(replies);
    assert.deepEqual(replies, [[-EIO]]);
  });

  it('answers ETIMEDOUT at its own deadline, once, and takes no notice of what comes later', async (t) => {
    let late = (): void => undefined;
    const { world, clock, adapter, answers } = await setup(t, {
      read: () => new Promise((resolve) => (late = () => resolve(Buffer.from('late')))),
    });
    const fd = await openedFd(adapter, world);
    const memory = Buffer.alloc(10, 'x');
    const replies = answers((answer) => adapter.operations().read('/', fd, memory, 10, 0, answer));
    await clock.advance(OPTIONS.readTimeoutMs);
    assert.deepEqual(replies, []);
    await clock.advance(1000);
    late();
    await settle();
    assert.deepEqual(replies, [[-ETIMEDOUT]]);
    assert.equal(memory.toString(), 'xxxxxxxxxx', 'memory that went back to libfuse is not written to');
    adapter.releaseAll();
  });

  it('releases an open that came after its deadline: the kernel never will (F1)', async (t) => {
    const { world, clock, adapter, answers } = await setup(t);
    const letThrough = world.pool.holdBack();
    const path = `/${world.raw.image.id}`;
    const replies = answers((answer) => adapter.operations().open(path, 0, answer));
    await clock.advance(OPTIONS.openTimeoutMs);
    assert.deepEqual(replies, [[-ETIMEDOUT]]);
    letThrough();
    while (world.pool.attaches === 0 || world.pool.leases > 0) await settle();
    assert.equal(world.filesystem.openFiles, 0);
    assert.deepEqual(replies, [[-ETIMEDOUT]]);
    assert.deepEqual(adapter.openFiles(), []);
  });

  it('answers EBADF for a file that is not open, and releases it without harm', async (t) => {
    const { adapter, answers } = await setup(t);
    const replies = answers((answer) => adapter.operations().read('/x', 77, Buffer.alloc(1), 1, 0, answer));
    await answered(replies);
    assert.deepEqual(replies, [[-constants.errno.EBADF]]);
    assert.deepEqual(
      answers((answer) => adapter.operations().release('/x', 77, answer)),
      [[0]],
    );
  });

  it('maps every error to the errno of its kind', async (t) => {
    for (const [code, errno] of [
      ['read_failed', EIO],
      ['image_changed', constants.errno.ESTALE],
      ['volume_busy', constants.errno.EBUSY],
      ['draining', constants.errno.EAGAIN],
    ] as const) {
      const { adapter, answers } = await setup(t, {
        open: () => Promise.reject(new CinderfsError(code, 'because')),
      });
      const replies = answers((answer) => adapter.operations().open('/', 0, answer));
      await answered(replies);
      assert.deepEqual(replies, [[-errno]], code);
    }
  });

  it('says how large an attribute is, and ERANGE when the buffer is too small', async (t) => {
    const { world, adapter, answers } = await setup(t);
    const path = `/${world.raw.image.id}`;
    const ask = (size: number): Reply[] =>
      answers((answer) =>
        adapter.getxattr(path, 'user.cinderfs.name', Buffer.alloc(size), (result) => answer(result)),
      );
    for (const [size, result] of [
      [0, 9],
      [9, 9],
      [8, -constants.errno.ERANGE],
    ] as const) {
      const replies = ask(size);
      await answered(replies);
      assert.deepEqual(replies, [[result]]);
    }
  });
});

async function openedFd(adapter: NativeAdapter, { raw }: World): Promise<number> {
  return new Promise((resolve, reject) =>
    adapter.operations().open(`/${raw.image.id}`, 0, (error, fd) => {
      if (fd === undefined) reject(new Error(`open: ${error}`));
      else resolve(fd);
    }),
  );
}
