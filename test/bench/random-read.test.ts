import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { distinctBytes, randomJob } from '../../bench/loads/random-read.js';

const MiB = 2 ** 20;

describe('a random load', () => {
  it('ends after half a second where it is told so: fio takes no fraction of a second', () => {
    const job = randomJob(MiB, { readers: 1, spread: 'together', seconds: 0.5 });
    assert.ok(job.includes('--runtime=500ms'), job.join(' '));
  });

  it('of readers together is a fifth of the whole image each, of readers apart all of a part each', () => {
    const load = { readers: 8, seconds: 4 };
    const together = randomJob(10 * MiB, { ...load, spread: 'together' });
    assert.ok(together.includes(`--size=${10 * MiB}`) && together.includes(`--io_size=${2 * MiB}`));
    const apart = randomJob(8 * MiB, { ...load, spread: 'apart' });
    assert.ok(apart.includes(`--size=${MiB}`) && apart.includes(`--offset_increment=${MiB}`));
  });

  it('knows how much of the image several readers have seen: all of it at most, all they asked for when alone', () => {
    const about = (bytes: number): number => Math.round(bytes);
    assert.equal(about(distinctBytes(MiB, 1, 5 * MiB)), MiB);
    assert.equal(about(distinctBytes(2 * MiB, 2, MiB)), MiB);
    assert.equal(about(distinctBytes(MiB, 2, MiB)), 0.75 * MiB);
  });
});
