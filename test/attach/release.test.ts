/** What an operator is told who lets go of an image while it is being attached; what an opener is told who comes too late. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CinderfsError } from '../../src/errors.js';
import { OpenGate } from '../../src/daemon/open-gate.js';
import { AttachWorld } from '../fakes/attach-world.js';
import { settle } from '../fakes/manual-clock.js';
import { rejectsWith } from './attach-testing.js';

/** Attaching stops at its connector until the returned function is called. */
function holdUp(world: AttachWorld): () => void {
  let go: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (go = resolve));
  world.host.gate = async (call) => {
    if (call === 'connect') await gate;
    return undefined;
  };
  return go;
}

describe('release of an image that is being attached', () => {
  it('is refused while somebody waits for it', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    const go = holdUp(world);
    const opening = world.pool.acquire(image);
    await settle();
    const error = await rejectsWith('holders', world.pool.releaseImage(image.id));
    assert.match(error.message, /1 open/);
    go();
    (await opening).release();
    assert.equal(world.pool.report()[0]?.state, 'lingering');
  });

  it('is true once it is detached, where the opener left', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    const go = holdUp(world);
    const leaving = new AbortController();
    const opening = world.pool.acquire(image, { signal: leaving.signal });
    await settle();
    leaving.abort();
    await rejectsWith('interrupted', opening);
    let detached: boolean | undefined;
    void world.pool.releaseImage(image.id).then((answer) => (detached = answer));
    await settle();
    assert.equal(detached, undefined, 'it is still being attached');
    go();
    await settle();
    assert.equal(detached, true);
    assert.deepEqual(world.leftovers(), []);
  });
});

describe('an open that comes while the mount is taken down', () => {
  it('leaves a last error', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    await world.pool.drain({ deadlineMs: 1 });
    await rejectsWith('draining', world.pool.acquire(image));
    assert.match(world.pool.lastError(image.id) ?? '', /^EAGAIN: .*\[draining\]/);
  });

  it('leaves a last error at the gate, too', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    const gate = new OpenGate(world.pool);
    gate.closed = true;
    await rejectsWith('draining', gate.acquire(image, {}));
    assert.match(gate.lastError(image.id) ?? '', /^EAGAIN: /);
    gate.closed = false;
    (await gate.acquire(image, {})).release();
    assert.equal(gate.lastError(image.id), undefined);
  });
});

describe('what was pinned of volumes', () => {
  it('is forgotten when Cinder does not have them any more, and not before', async () => {
    const { sweepPins } = await import('../../src/attach/cleanup/stale-pins.js');
    const world = new AttachWorld({ lingerMs: 0 });
    for (const volume of ['kept', 'gone']) (await world.pool.acquire(world.addImage(volume))).release();
    await world.pool.quiet();
    const down = new CinderfsError('http_failed', 'Cinder answered 503', { status: 503 });
    world.cinder.volumes.delete('gone');
    world.cinder.gate = (call) => Promise.resolve(call === 'show' ? { refuse: down } : undefined);
    await sweepPins(world.context);
    assert.equal(world.pins.list().length, 2, 'silence proves nothing');
    world.cinder.gate = () => Promise.resolve(undefined);
    await sweepPins(world.context);
    assert.deepEqual(
      world.pins.list().map(({ volumeId }) => volumeId),
      ['kept'],
    );
  });
});
