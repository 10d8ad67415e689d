import { closeSync } from 'node:fs';
import { CinderfsError } from '../errors.js';
import type { MountRequest } from '../fs/mount/mount-command.js';
import {
  descriptorSockets,
  mountOn,
  mountThrough,
  openDevice,
  receiveDevice,
} from '../fs/mount/mount-command.js';

/**
 * The descriptor that keeps the mount alive: the kernel ends a FUSE connection when the last process that has it open
 * is gone, and this one is never closed before the mount ends.
 */
export interface FuseChannel {
  /** What an engine that is started now gets as descriptor 3. */
  readonly fd: number | undefined;
  /** Whether that is a socket which the mounted descriptor will come over, instead of itself. */
  readonly bySocket: boolean;
  /** Mounts on it, once. */
  mount(request: MountRequest): Promise<void>;
}

/** Root opens /dev/fuse before it mounts: the first engine inherits the descriptor although it is mounted later. */
export async function openFuseChannel(): Promise<FuseChannel> {
  try {
    return process.getuid?.() === 0 ? await rootChannel() : userChannel();
  } catch (error) {
    // Said when the engine asks for the mount: what else is wrong with the start is found before that.
    return { fd: undefined, bySocket: false, mount: () => Promise.reject(CinderfsError.from(error)) };
  }
}

async function rootChannel(): Promise<FuseChannel> {
  // The channel holds the FileHandle: the collection of one without a reference closes its descriptor.
  const device = await openDevice();
  return { fd: device.fd, bySocket: false, mount: (request) => mountOn(device.fd, request) };
}

/** fusermount3 opens the device and sends it; the first engine and this process take it from the same socket. */
function userChannel(): FuseChannel {
  const [ours, theirs] = descriptorSockets();
  let device: number | undefined;
  return {
    get fd() {
      return device ?? ours;
    },
    get bySocket() {
      return device === undefined;
    },
    async mount(request) {
      await mountThrough(theirs, request);
      device = receiveDevice(ours, undefined, { leave: true });
      closeSync(theirs);
      closeSync(ours);
    },
  };
}
