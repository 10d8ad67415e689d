import { cephLibrary } from '../../ceph/library.js';
import { DATA_AT } from '../contract/read-room.js';
import type { OpenOnWorker } from '../contract/source.js';
import { SharedImages } from './shared-images.js';
import { WorkerImages } from './worker-images.js';

export const onWorker: OpenOnWorker = ({ shared, worker, workers, memory, tell }) => {
  const images = new WorkerImages({
    images: new SharedImages(workers, shared),
    workerId: worker,
    library: cephLibrary,
    left: tell,
  });
  return {
    read: (slot, offset, length) => images.read(slot, memory, DATA_AT, offset, length),
  };
};
