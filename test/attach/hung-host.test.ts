/** A backend that hangs takes nothing from the others, and what it held up is written off. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HostCalls } from '../../src/attach/host/host-calls.js';
import { Pool } from '../../src/attach/lifecycle/pool.js';
import { AttachWorld } from '../fakes/attach-world.js';
import { ManualClock, settle } from '../fakes/manual-clock.js';
import { rejectsWith } from './attach-testing.js';

describe('a backend that hangs', () => {
  it('holds no attach slot and no reservation', async () => {
    const world = new AttachWorld({}, { slots: 2 });
    const dead = ['d1', 'd2', 'd3'].map((volume) => world.addImage(volume, { multiattach: false }));
    const alive = world.addImage('alive');
    for (const { volumeId } of dead) world.host.hang(volumeId);
    const failures = dead.map((image) => rejectsWith('host_hung', world.pool.acquire(image)));
    await settle();
    const opening = world.pool.acquire(alive);
    await world.clock.advance(40_000);
    await Promise.all(failures);
    const lease = await opening;
    assert.deepEqual(
      [...world.cinder.stored.keys()],
      [lease.attachmentId],
      'other hosts may have the volumes',
    );
    assert.equal(world.journal.list().length, 1);
    assert.equal(world.pool.figures().gauges.host_calls_hung, 3);
    lease.release();
  });

  it('keeps the record of what it may have made, and lets it go when it answers', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1', { multiattach: false });
    // It hangs after the device was made, before connect() can say so.
    const hung = world.host.connect.bind(world.host);
    world.host.connect = async (request, plan) => {
      const connected = await hung(request, plan);
      world.host.hang('v1');
      await connected.read(0, 1);
      return connected;
    };
    const failure = rejectsWith('host_hung', world.pool.acquire(image));
    await world.clock.advance(100_000);
    await failure;
    assert.equal(world.cinder.stored.size, 1, 'nobody knows what is connected: the claim stays');
    assert.equal(world.pool.report()[0]?.state, 'detaching');
    world.host.thaw('v1');
    await world.clock.advance(120_000);
    assert.deepEqual(world.leftovers(), []);
  });

  it('is adopted when it answers again, and delays nobody until then', async () => {
    const world = new AttachWorld({ lingerMs: 3_600_000 });
    const images = Array.from({ length: 32 }, (_, n) => world.addImage(`v${n}`));
    for (const image of images) await world.pool.acquire(image);
    for (const { volumeId } of images) world.host.hang(volumeId);
    const successor = new Pool(world.context, world.end.signal);
    successor.recover(world.journal.list());
    (await successor.acquire(world.addImage('alive'))).release();
    await world.clock.advance(60_000);
    assert.equal(world.cinder.stored.size, 33, 'nothing was undone');
    for (const { volumeId } of images) world.host.thaw(volumeId);
    await world.clock.advance(120_000);
    assert.equal(world.context.counters.adoptions, 32);
  });

  it('does not hold up a drain', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    const lease = await world.pool.acquire(image);
    lease.release();
    world.host.hang('v1');
    const opening = world.pool.acquire(image).catch(() => undefined);
    await settle();
    let left: unknown;
    void world.pool.drain({ deadlineMs: 30_000 }).then((report) => (left = report));
    await world.clock.advance(60_000);
    assert.ok(Array.isArray(left), 'the drain has ended');
    await opening;
    world.host.thaw('v1');
    await world.clock.advance(300_000);
    assert.deepEqual(world.leftovers(), []);
  });
});

describe('the bulkhead of host calls', () => {
  const never = new Promise<never>(() => undefined);
  const call = { what: 'looking', thread: true, ms: 15_000 };

  it('lets hung calls take half of the threads at most, two of a group, and no more of a group that hangs', async () => {
    const clock = new ManualClock();
    const calls = new HostCalls(clock, 32);
    let begun = 0;
    const look = (group: string): Promise<unknown> =>
      calls
        .run({ ...call, group }, () => {
          begun++;
          return never;
        })
        .catch(() => undefined);
    for (let n = 0; n < 100; n++) void look(`share ${n % 20}`);
    await settle();
    assert.equal(begun, 16);
    await clock.advance(15_000);
    assert.equal(calls.hung, 16);
    await rejectsWith(
      'host_hung',
      calls.run({ ...call, group: 'share 0' }, () => Promise.resolve(1)),
    );
    assert.equal(begun, 16);
    // What needs no thread goes on.
    assert.equal(await calls.run({ ...call, group: 'socket', thread: false }, () => Promise.resolve(7)), 7);
  });

  it('lets a group in again when its hung call ends, and hands on what that made', async () => {
    const clock = new ManualClock();
    const calls = new HostCalls(clock, 32);
    let answer: (value: number) => void = () => undefined;
    const slow = new Promise<number>((resolve) => (answer = resolve));
    const late: number[] = [];
    const failure = rejectsWith(
      'host_hung',
      calls.run(
        { ...call, group: 'g' },
        () => slow,
        (value) => late.push(value),
      ),
    );
    await clock.advance(15_000);
    await failure;
    answer(3);
    await settle();
    assert.deepEqual([late, calls.hung], [[3], 0]);
    assert.equal(await calls.run({ ...call, group: 'g' }, () => Promise.resolve(4)), 4);
    assert.equal(clock.pending, 0);
  });
});
