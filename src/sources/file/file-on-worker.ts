import { systemCalls } from '../../sys/calls/system-calls.js';
import type { OpenOnWorker } from '../contract/source.js';
import { AlignedReader } from './aligned-reader.js';

/** The slot is a descriptor of the process. */
export const onWorker: OpenOnWorker = ({ memory }) => {
  const reader = new AlignedReader(memory);
  return {
    read: (fd, offset, length) => reader.read(fd, offset, length),
    spliceFd: (fd) => fd,
    seek: (fd, offset, whence) => systemCalls()?.seekSync(fd, offset, whence),
  };
};
