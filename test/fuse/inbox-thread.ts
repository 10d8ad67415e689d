/** A reader that wants a slot: says that it begins to wait, then how much room it has. */
import { parentPort, workerData } from 'node:worker_threads';
import { Inbox } from '../../src/fs/fuse/channel/dev-fuse/inbox.js';
import type { InFlightShare } from '../../src/fs/fuse/shared/in-flight-slots.js';
import { systemCalls } from '../../src/sys/calls/system-calls.js';

parentPort?.postMessage('waiting');
parentPort?.postMessage(
  new Inbox({ fuseFd: -1, workerId: 1, share: workerData as InFlightShare, calls: systemCalls }).request
    .length,
);
