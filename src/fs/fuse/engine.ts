import { CinderfsError } from '../../errors.js';
import { systemClock } from '../../async/clock.js';
import type { Filesystem } from '../contract/filesystem.js';
import { findMount } from '../../sys/mounts/mount-table.js';
import { prepareMountpoint, unmount } from '../mount/mountpoint.js';
import { cutOff } from '../mount/fuse-connection.js';
import type { MountedTransport, MountTransport, TransportOptions } from '../contract/transport.js';
import { DevFuseChannel } from './channel/dev-fuse/dev-fuse-channel.js';
import type { KernelChannel } from './channel/kernel-channel.js';
import { systemCalls } from '../../sys/calls/system-calls.js';
import { raiseReadAhead } from '../mount/kernel-tuning.js';
import { mountAsRoot, mountAsUser } from '../mount/mount-command.js';
import type { Agreement } from './protocol/negotiation.js';
import { agree, decodeOffer, encodeAgreement, hasResend } from './protocol/negotiation.js';
import { InitFlag, Opcode } from './protocol/opcodes.js';
import { decodeRequest } from './protocol/request.js';
import { WORKER_LIMIT } from './pool/worker-counts.js';
import { Session } from './session.js';
import type { InFlight } from './recovery/in-flight.js';
import { openInFlight, type TakeoverState } from './recovery/takeover-state.js';
import type { WorkerThreads } from './pool/worker-threads.js';

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
    const prepared = prepare(
      filesystem,
      { ...options, mountpoint },
      { fuseFd: mounted.fd, close: mounted.close },
    );
    const transport = prepared.start();
    await prepared.raiseReadAhead();
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
  readonly survival?: TakeoverState | undefined;
  readonly threads?: Pick<WorkerThreads, 'take'> | undefined;
}

/** A mount that is about to be served. Order: rebuild (after an earlier engine), start. */
export interface PreparedMount {
  readonly agreement: Agreement;
  /** Whether another engine can take over from this one. */
  readonly outlives: boolean;
  /** See RestoredFiles.rebuild. */
  rebuild(): Promise<void>;
  start(): MountedTransport;
  /** Raises the kernel's read-ahead. Here because INIT, whose answer lowers it to what the kernel offered, goes first. */
  raiseReadAhead(): Promise<void>;
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
  const { fuseFd, survival, threads } = connection;
  const { log } = options;
  let inFlight: InFlight | undefined;
  const channel = new DevFuseChannel(fuseFd, log, (unique) => inFlight?.answered(unique));
  const agreement = connection.agreement ?? initialise(channel, without(options, survival));
  if (survival !== undefined)
    inFlight = openInFlight({ ...kept(survival), agreement, workers: WORKER_LIMIT, log });
  const parts = { filesystem, options, channel, agreement, survival, inFlight, threads };
  let breaks: (error: CinderfsError) => void = () => undefined;
  const broken = new Promise<never>((_, reject) => (breaks = reject));
  // Another engine goes on where one can: an uncaught error ends this one, and nothing of the mount.
  const onBroken = survival === undefined ? (error: CinderfsError) => breaks(error) : raise;
  const session = new Session({ ...parts, clock: systemClock, onBroken });
  const over = session.ended.then(() => connection.close?.());
  const ended = Promise.race([over, broken]);
  ended.catch(() => undefined);
  const transport: MountedTransport = {
    ended,
    served: () => session.served(),
    askForOpens: () => session.askForOpens(),
    resume: () => session.resume(),
    async unmount({ lazy = false, abort = false } = {}) {
      const mounted = (await findMount(options.mountpoint)) !== undefined;
      if (abort) await cutOff(options.mountpoint);
      else if (mounted) await unmount(options.mountpoint, { lazy });
      if (!lazy) await over;
    },
  };
  return {
    agreement,
    outlives: survival !== undefined && (inFlight !== undefined || hasResend(agreement)),
    rebuild: () => session.rebuild(),
    start() {
      session.start();
      return transport;
    },
    raiseReadAhead: () => raiseReadAhead(options.mountpoint, () => channel.pagesPerReply(), log),
  };
}

function raise(error: CinderfsError): never {
  throw error;
}

function kept({ inFlight: path, generation }: TakeoverState): { path: string; fresh: boolean } {
  return { path, fresh: generation === 0 };
}

/** Flags of INIT that are not asked for. */
function without({ passthrough }: TransportOptions, survival: TakeoverState | undefined): bigint {
  // BACKING_OPEN wants CAP_SYS_ADMIN.
  const mayPassthrough = passthrough && process.getuid?.() === 0 && systemCalls() !== undefined;
  const mayResend = survival?.resend ?? true;
  return (mayPassthrough ? 0n : InitFlag.PASSTHROUGH) | (mayResend ? 0n : InitFlag.HAS_RESEND);
}

/** Answers INIT, which the kernel sends at once when it mounts. */
function initialise(channel: KernelChannel, without: bigint): Agreement {
  const room = Buffer.alloc(64 * 1024);
  const request = decodeRequest(room.subarray(0, channel.receiveSync(room) ?? 0));
  const offer = request?.opcode === Opcode.INIT ? decodeOffer(request.body) : undefined;
  if (request === undefined || offer === undefined)
    throw new CinderfsError('fuse_failed', 'the kernel did not begin with INIT');
  const agreement = agree(offer, without);
  if (!channel.reply(request.unique, [encodeAgreement(agreement, offer, channel.pagesPerReply())]))
    throw new CinderfsError('fuse_failed', 'the kernel let go of the mount during INIT');
  return agreement;
}
