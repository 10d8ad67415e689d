/**
 * A process whose threads still load native code must not end: what throws there while its thread is being ended aborts
 * the process, with a stack of napi_throw for an operator who mistyped a password. Run as a program
 * (`worker-threads.test.js MILLISECONDS`) this is an engine that fails after so long.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { WorkerThreads } from '../../src/fs/fuse/worker-threads.js';
import { run } from '../support/program.js';

const OURSELVES = fileURLToPath(import.meta.url);
const STATUS = 3;

const [, , ms] = process.argv;
if (ms !== undefined) {
  const threads = new WorkerThreads(4);
  await delay(Number(ms));
  await threads.loaded;
  process.exit(STATUS);
}

it('have loaded before a process that failed ends', async () => {
  for (let after = 40; after < 120; after += 5) {
    const { status, stderr } = await run(process.execPath, [OURSELVES, String(after)]);
    assert.equal(status, STATUS, stderr);
  }
});
