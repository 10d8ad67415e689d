import { systemCalls } from '../../sys/calls/system-calls.js';
import { DATA_AT } from '../contract/read-room.js';
import type { OpenOnWorker } from '../contract/source.js';
import { SharedExports } from './shared-exports.js';
import { WorkerExports } from './worker-exports.js';

export const onWorker: OpenOnWorker = ({ shared, worker, workers, memory }) => {
  const exports = new WorkerExports(new SharedExports(workers, shared), worker, systemCalls);
  return {
    read: (slot, offset, length) => exports.read(slot, memory, DATA_AT, offset, length),
  };
};
