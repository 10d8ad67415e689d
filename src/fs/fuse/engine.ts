import { readSync } from 'node:fs';
import { CinderfsError } from '../../errors.js';
import { systemClock } from '../../async/clock.js';
import type { Filesystem } from '../filesystem.js';
import { findMount } from '../mount-table.js';
import { prepareMountpoint, unmount } from '../mountpoint.js';
import { cutOff } from '../fuse-connection.js';
import type { MountedTransport, MountTransport, TransportOptions } from '../transport.js';
import { FuseDevice } from './device.js';
import { systemCalls } from './ioctl.js';
import { raiseReadAhead } from './kernel-tuning.js';
import { mountAsRoot, mountAsUser } from './mount-command.js';
import type { Agreement } from './negotiation.js';
import { agree, decodeOffer, encodeAgreement } from './negotiation.js';
import { Opcode } from './protocol.js';
import { pagesPerReply } from './reply-pipe.js';
import { decodeRequest } from './request.js';
import type { Survival } from './session.js';
import { Session } from './session.js';

/**
 * Mounts with our own engine: no libfuse, no native addon. The default on Linux.
 *
 * @throws CinderfsError `fuse_missing`, `fuse_failed`, or why the mount point is not fit.
 */
export const mountEngine: MountTransport = async (filesystem, options) => {
  const mountpoint = await prepareMountpoint(options.mountpoint, options.log);
  const mount = process.getuid?.() === 0 ? mountAsRoot : mountAsUser;
  const mounted = await mount({ ...options, mountpoint });
  try {
    const transport = serve(
      filesystem,
      { ...options, mountpoint },
      { fuseFd: mounted.fd, close: mounted.close },
    );
    // Not before INIT, whose answer lowers it to what the kernel offered.
    await raiseReadAhead(mountpoint, options.log);
    return transport;
  } catch (error) {
    await unmount(mountpoint, { lazy: true });
    await mounted.close();
    throw error;
  }
};

/** A mounted /dev/fuse descriptor, from mount(8) or from a supervisor that kept it. */
export interface FuseConnection {
  readonly fuseFd: number;
  /** What INIT settled, when it was answered already. */
  readonly agreement?: Agreement | undefined;
  /** Closes the descriptor when the mount has ended. */
  readonly close?: () => Promise<void>;
  readonly survival?: Survival | undefined;
}

/** A mount that is about to be served. Order: rebuild (after an earlier engine), start. */
export interface PreparedMount {
  readonly agreement: Agreement;
  /** See EarlierFiles.rebuild. */
  rebuild(): Promise<void>;
  start(): MountedTransport;
}

/** Serves a mount on a descriptor that is there already. `options.mountpoint` is absolute and without symlinks. */
export function serve(
  filesystem: Filesystem,
  options: TransportOptions,
  connection: FuseConnection,
): MountedTransport {
  return prepare(filesystem, options, connection).start();
}

/** As serve(), in two steps: nothing is read from the descriptor but INIT, if that was not answered yet. */
export function prepare(
  filesystem: Filesystem,
  options: TransportOptions,
  connection: FuseConnection,
): PreparedMount {
  const device = new FuseDevice(connection.fuseFd, options.log);
  // BACKING_OPEN wants CAP_SYS_ADMIN.
  const mayPassthrough = options.passthrough && process.getuid?.() === 0 && systemCalls() !== undefined;
  const agreement = connection.agreement ?? initialise(device, mayPassthrough);
  const { survival } = connection;
  const session = new Session({ filesystem, options, device, agreement, clock: systemClock, survival });
  const ended = session.ended.then(() => connection.close?.());
  const transport: MountedTransport = {
    ended,
    served: () => session.served(),
    resume: () => session.resume(),
    async unmount({ lazy = false, abort = false } = {}) {
      const mounted = (await findMount(options.mountpoint)) !== undefined;
      if (abort) await cutOff(options.mountpoint);
      else if (mounted) await unmount(options.mountpoint, { lazy });
      if (!lazy) await ended;
    },
  };
  return {
    agreement,
    rebuild: () => session.rebuild(),
    start() {
      session.start();
      return transport;
    },
  };
}

/** Answers INIT, which the kernel sends at once when it mounts. */
function initialise(device: FuseDevice, passthrough: boolean): Agreement {
  const room = Buffer.alloc(64 * 1024);
  const request = decodeRequest(room.subarray(0, readSync(device.fd, room, 0, room.length, null)));
  const offer = request?.opcode === Opcode.INIT ? decodeOffer(request.body) : undefined;
  if (request === undefined || offer === undefined)
    throw new CinderfsError('fuse_failed', 'the kernel did not begin with INIT');
  const agreement = agree(offer, passthrough);
  if (!device.reply(request.unique, [encodeAgreement(agreement, offer, pagesPerReply(systemCalls()))]))
    throw new CinderfsError('fuse_failed', 'the kernel let go of the mount during INIT');
  return agreement;
}
