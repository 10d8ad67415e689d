import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CinderfsError } from '../../src/errors.js';
import { ReadPath } from '../../src/fs/read-path.js';
import type { ReaderClaim } from '../../src/sources/reader-pool.js';

/** Claims of a reader that come when the test says so. */
function claims() {
  const gates: { readonly come: () => void; readonly fail: (error: Error) => void }[] = [];
  const counts = { asked: 0, released: 0, closed: 0 };
  const reader = {
    broken: false,
    cursor: () => ({ read: () => Promise.resolve(Buffer.alloc(0)), close: () => void (counts.closed += 1) }),
    seek: () => Promise.resolve(0),
    close: () => undefined,
  };
  const claim = (): Promise<ReaderClaim> => {
    counts.asked += 1;
    return new Promise((resolve, reject) => {
      const come = (): void => resolve({ reader, release: () => void (counts.released += 1) });
      gates.push({ come, fail: reject });
    });
  };
  return { claim, gates, counts, reader };
}

describe('the path that a handle reads through', () => {
  it('claims a reader when it is first asked for, once for all who ask', async () => {
    const { claim, gates, counts, reader } = claims();
    const path = new ReadPath(1, claim);
    assert.equal(counts.asked, 0);
    const asked = [path.open(), path.open()];
    gates[0]?.come();
    for (const opened of await Promise.all(asked)) assert.equal(opened.reader, reader);
    assert.equal(counts.asked, 1);
    path.close();
    path.close();
    assert.deepEqual(counts, { asked: 1, released: 1, closed: 1 });
  });

  it('asks for nothing when it is closed unread', () => {
    const { claim, counts } = claims();
    new ReadPath(1, claim).close();
    assert.deepEqual(counts, { asked: 0, released: 0, closed: 0 });
  });

  it('gives a reader back that comes after it was closed', async () => {
    const { claim, gates, counts } = claims();
    const path = new ReadPath(1, claim);
    const opening = path.open();
    path.close();
    gates[0]?.come();
    await assert.rejects(opening, { code: 'bad_handle' });
    assert.equal(counts.released, 1);
    await assert.rejects(path.open(), { code: 'bad_handle' });
    assert.equal(counts.asked, 1);
  });

  it('tries again what failed, and tells of a source that cannot be opened', async () => {
    const { claim, gates } = claims();
    const path = new ReadPath(1, claim);
    const opening = path.open();
    gates[0]?.fail(new CinderfsError('read_failed', 'no such device'));
    await assert.rejects(opening, { code: 'read_failed' });
    assert.equal(path.broken, true);
    const again = path.open();
    gates[1]?.come();
    await again;
    assert.equal(path.broken, false);
    path.close();
  });
});
