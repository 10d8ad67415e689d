import { CinderfsError } from '../../errors.js';
import { systemCalls } from '../../sys/calls/system-calls.js';
import { AlignedReader } from '../file/aligned-reader.js';
import type { OpenOnWorker } from '../contract/source.js';
import { stillIdentifiesAs } from './device-name.js';
import { SharedDevices } from './shared-devices.js';

export const onWorker: OpenOnWorker = ({ memory, shared }) => {
  const devices = new SharedDevices(shared);
  const reader = new AlignedReader(memory, systemCalls());
  return {
    read(slot, offset, length, uncached) {
      const [directFd, cachedFd] = [devices.directFd(slot), devices.cachedFd(slot)];
      const start =
        directFd === cachedFd
          ? reader.read(cachedFd, offset, length)
          : reader.readDevice(directFd, cachedFd, offset, length, uncached);
      const tag = devices.tag(slot);
      if (tag !== undefined) confirm(directFd, tag);
      return start;
    },
  };
};

/** The bytes that were just read are the volume's, or this throws. */
function confirm(fd: number, tag: Buffer): void {
  const system = systemCalls();
  if (system !== undefined && stillIdentifiesAs(fd, tag, system)) return;
  throw new CinderfsError('identity_mismatch', 'device did not identify as the expected volume');
}
