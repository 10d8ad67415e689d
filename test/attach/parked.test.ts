/** Attachments that an engine finds when it takes a mount over: whose files it opens again, however long that takes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Pool } from '../../src/attach/lifecycle/pool.js';
import type { AttachableImage } from '../../src/attach/contract/lease.js';
import { AttachWorld } from '../fakes/attach-world.js';
import { settle } from '../fakes/manual-clock.js';
import { rejectsWith } from './attach-testing.js';

interface Successor {
  readonly world: AttachWorld;
  readonly image: AttachableImage;
  readonly attachment: string;
  /** The pool of the engine that took over; it has adopted the attachment and opened nothing yet. */
  readonly pool: Pool;
}

/** A mount with one open file, whose engine was killed. */
async function successor(multiattach: boolean): Promise<Successor> {
  const world = new AttachWorld();
  const image = world.addImage('v1', { multiattach });
  const { attachmentId: attachment } = await world.pool.acquire(image);
  const pool = new Pool({ ...world.context, inPlace: true }, new AbortController().signal);
  pool.recover(world.journal.list());
  await settle();
  return { world, image, attachment, pool };
}

const stateOf = (pool: Pool): string | undefined => pool.report()[0]?.state;

describe('a recovered attachment', () => {
  for (const multiattach of [false, true])
    it(`waits for its files to be opened again (multiattach: ${multiattach})`, async () => {
      const { world, image, attachment, pool } = await successor(multiattach);
      assert.equal(stateOf(pool), 'parked');
      await world.clock.advance(3_600_000);
      const lease = await pool.acquire(image);
      assert.equal(lease.attachmentId, attachment);
      pool.settled();
      assert.equal(stateOf(pool), 'attached');
      lease.release();
      assert.equal(stateOf(pool), multiattach ? 'lingering' : 'detaching');
      await pool.drain({ deadlineMs: 1_000 });
      assert.deepEqual(world.leftovers(), []);
    });

  it('is detached, or lingers, when nothing has opened it again by then', async () => {
    for (const multiattach of [false, true]) {
      const { world, pool } = await successor(multiattach);
      pool.settled();
      assert.equal(stateOf(pool), multiattach ? 'lingering' : 'detaching');
      await pool.drain({ deadlineMs: 1_000 });
      assert.deepEqual(world.leftovers(), []);
    }
  });

  it('stays while one of two files is closed before the other is opened again', async () => {
    const { image, attachment, pool } = await successor(false);
    (await pool.acquire(image)).release();
    await settle();
    assert.equal((await pool.acquire(image)).attachmentId, attachment);
  });

  it('is not let go of by an operator, nor by a list that lacks its image', async () => {
    const { image, pool } = await successor(true);
    await rejectsWith('holders', pool.releaseImage(image.id));
    for (const each of pool.all()) each.unlist();
    assert.equal(stateOf(pool), 'parked');
    pool.settled();
    assert.equal(stateOf(pool), 'detaching', 'an image that is not listed does not linger');
  });

  it('goes with the mount', async () => {
    const { world, pool } = await successor(true);
    assert.deepEqual(await pool.drain({ deadlineMs: 1_000 }), []);
    assert.deepEqual(world.leftovers(), []);
  });

  it('counts from the beginning where no mount is taken over', async () => {
    const { world } = await successor(false);
    const pool = new Pool(world.context, new AbortController().signal);
    pool.recover(world.journal.list());
    await settle();
    assert.equal(stateOf(pool), undefined);
    assert.deepEqual(world.leftovers(), []);
  });
});
