import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { NbdClient } from '../../src/nbd/client.js';
import { seekInExtents } from '../../src/nbd/seek.js';

const TERABYTE = 2 ** 40;

/** A server that tells of `length` bytes at a time. */
function miser(length: number, hole: boolean) {
  const asked: number[] = [];
  const client = {
    export: { size: TERABYTE, minimumBlock: 1, structured: true, allocationContext: 1 },
    blockStatus(offset: number) {
      asked.push(offset);
      if (asked.length > 100_000) throw new Error('it is asked for ever');
      return Promise.resolve([{ length, hole }]);
    },
  } as unknown as NbdClient;
  return { client, asked };
}

it('a server that tells of one byte at a time is asked a bounded number of times', async () => {
  const seek = { offset: 10, end: TERABYTE, alignment: 1 };
  for (const whence of ['data', 'hole'] as const) {
    const { client, asked } = miser(1, whence === 'data');
    const found = await seekInExtents(client, { ...seek, whence });
    assert.ok(asked.length < 10_000, `${asked.length} questions`);
    if (whence === 'data') assert.ok(found > 10 && found < TERABYTE, 'from there on it counts as data');
    else assert.equal(found, TERABYTE);
  }
});
