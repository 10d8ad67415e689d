import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { SharedImages } from '../../src/sources/rbd/shared-images.js';
import { WorkerImages } from '../../src/sources/rbd/worker-images.js';
import type { VisitorStart, Visits } from './image-visitor.js';

const SEATS = 3;
const IMAGES = 3_000;

describe('RBD images that workers read', () => {
  it('are closed when the last worker is out of them, and not before', () => {
    const images = new SharedImages(SEATS);
    const place = images.publish(4711) ?? assert.fail('there is room');
    const closed: string[] = [];
    assert.equal(images.enter(place, 0), 4711);
    assert.equal(images.enter(place, 2), 4711);
    images.withdraw(place, () => closed.push('closed'));
    assert.equal(images.enter(place, 1), undefined);
    for (const workerId of [1, 0]) {
      assert.equal(images.leave(place, workerId), false);
      images.settle(place);
      assert.deepEqual(closed, []);
    }
    assert.equal(images.leave(place, 2), false);
    images.settle(place);
    images.settle(place);
    assert.deepEqual(closed, ['closed']);
  });

  it('are never another image at the place of one that is gone', () => {
    const images = new SharedImages(SEATS);
    const places = new Set<number>();
    for (let handle = 1; handle <= 3; handle += 1) {
      const place = images.publish(handle) ?? assert.fail('there is room');
      for (const earlier of places) assert.equal(images.enter(earlier, 0), undefined);
      images.leave(place, 0);
      assert.ok(place > 0 && !places.has(place));
      places.add(place);
      images.withdraw(place, () => undefined);
    }
  });

  it('are closed when the thread that was inside has died', () => {
    const images = new SharedImages(SEATS);
    const place = images.publish(1) ?? assert.fail('there is room');
    let closed = false;
    images.enter(place, 1);
    images.withdraw(place, () => (closed = true));
    images.vacate(0);
    assert.equal(closed, false);
    images.vacate(1);
    assert.equal(closed, true);
  });

  it('are no place when there are too many', () => {
    const images = new SharedImages(SEATS);
    while (images.publish(1) !== undefined);
    assert.equal(images.publish(1), undefined);
  });

  it('are left also when a read fails, and the main thread is told of one that was withdrawn', () => {
    const images = new SharedImages(SEATS);
    const left: number[] = [];
    const place = images.publish(1) ?? assert.fail('there is room');
    let closed = false;
    const readSync = (): never => {
      images.withdraw(place, () => (closed = true));
      throw new Error('EIO');
    };
    const worker = new WorkerImages({
      images,
      workerId: 0,
      library: () => ({ readSync }),
      left: (at) => left.push(at),
    });
    assert.throws(() => worker.read(place, Buffer.alloc(10), 0, 0, 10), /EIO/);
    assert.deepEqual(left, [place]);
    assert.equal(closed, false);
    images.settle(place);
    assert.equal(closed, true);
    assert.throws(() => worker.read(place, Buffer.alloc(10), 0, 0, 10), { code: 'read_failed' });
  });

  it('are closed though the last inside was one that came with an old place', () => {
    const images = new SharedImages(SEATS);
    const old = images.publish(1) ?? assert.fail('there is room');
    images.withdraw(old, () => undefined);
    const place = images.publish(2) ?? assert.fail('there is room');
    assert.equal(images.enter(old, 0), undefined, 'its index is another image by now');
    let closed = false;
    images.withdraw(place, () => (closed = true));
    assert.equal(images.leave(old, 0), false);
    images.settle(old);
    assert.equal(closed, true);
  });

  it('outlast every read of threads that come and go while images do', { timeout: 60_000 }, async (t) => {
    const images = new SharedImages(SEATS);
    const board = new Int32Array(new SharedArrayBuffer((IMAGES + 1) * 4));
    const publish = (handle: number): number => {
      Atomics.store(board, handle, 1);
      const place = images.publish(handle) ?? assert.fail('there is room');
      Atomics.store(board, 0, place);
      return place;
    };
    let place = publish(1);
    const visitors = Array.from({ length: SEATS }, (_, workerId) => {
      const workerData: VisitorStart = {
        workers: SEATS,
        workerId,
        images: images.memory,
        board: board.buffer,
      };
      const worker = new Worker(new URL('./image-visitor.js', import.meta.url), { workerData });
      t.after(() => worker.terminate());
      return worker;
    });
    const saw: Visits[] = [];
    let ready = 0;
    for (const worker of visitors)
      worker.on('message', (said: 'ready' | number | Visits) => {
        if (said === 'ready') ready += 1;
        else if (typeof said === 'number') images.settle(said);
        else saw.push(said);
      });
    const ends = visitors.map((worker) => once(worker, 'exit'));
    while (ready < SEATS) await new Promise((resolve) => setImmediate(resolve));
    let closed = 0;
    for (let handle = 2; handle <= IMAGES; handle += 1) {
      const [old, before] = [place, handle - 1];
      place = publish(handle);
      images.withdraw(old, () => {
        Atomics.store(board, before, 0);
        closed += 1;
      });
      if (handle % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    Atomics.store(board, 0, 0);
    await Promise.all(ends);
    assert.equal(closed, IMAGES - 1);
    assert.deepEqual(
      saw.map(({ crashes }) => crashes),
      Array.from({ length: SEATS }, () => 0),
    );
    assert.ok(saw.some(({ inside }) => inside > 0));
  });
});
