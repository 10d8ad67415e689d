import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Demand } from '../../src/fs/fuse/pool/demand.js';
import type { PoolWorker } from '../../src/fs/fuse/pool/pool-worker.js';

type Look = Pick<PoolWorker, 'state' | 'watch'>;

const reading = (seen: number): Look => ({
  state: 'serving',
  watch: { claim: 1, unique: 1n, seen, since: seen, taken: false },
});
const waiting: Look = { state: 'serving' };

/** What each of the looks at `workers` says, 50 ms apart. */
function looks(demand: Demand, times: number, workers: (now: number) => readonly Look[]): readonly boolean[] {
  return Array.from({ length: times }, (_, at) => demand.look(workers(at * 50), at * 50));
}

describe('demand for more workers', () => {
  it('is there once every worker was in another read at four looks in a row', () => {
    const said = looks(new Demand(), 5, (now) => [reading(now), reading(now)]);
    assert.deepEqual(said, [false, false, false, true, true]);
  });

  it('begins anew when one worker was free', () => {
    const demand = new Demand();
    looks(demand, 3, (now) => [reading(now), reading(now)]);
    assert.equal(demand.look([reading(150), waiting], 150), false);
    assert.deepEqual(
      looks(demand, 4, (now) => [reading(now), reading(now)]),
      [false, false, false, true],
    );
  });

  it('is not there for a worker that does not come back from one read', () => {
    assert.ok(looks(new Demand(), 10, (now) => [reading(now), reading(0)]).every((more) => !more));
  });

  it('does not count workers that are stalled, and none at all is no demand', () => {
    const stalled: Look = { state: 'stalled' };
    assert.equal(looks(new Demand(), 4, (now) => [reading(now), stalled]).at(-1), true);
    assert.ok(looks(new Demand(), 10, () => [stalled]).every((more) => !more));
  });
});
