import { close, closeSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { CinderfsError, reasonOf } from '../../errors.js';
import { runSystemCommand } from '../../sys/processes/system-command.js';
import { holdMountpoint } from './mountpoint.js';
import { systemCalls } from '../../sys/calls/system-calls.js';
import { MAX_READ } from '../fuse/protocol/opcodes.js';

export interface MountRequest {
  readonly mountpoint: string;
  readonly fsname: string;
  readonly allowOther: boolean;
}

/** A mounted /dev/fuse; the caller closes it when the mount has ended. */
export interface MountedDevice {
  readonly fd: number;
  readonly close: () => Promise<void>;
}

/** Milliseconds for mount(8) or fusermount3: they only talk to the kernel, and it to no one for a FUSE mount. */
const MOUNT_MS = 30_000;
const MOUNT_FLAGS = 'ro,nosuid,nodev,noexec,noatime';

/**
 * Makes the type `fuse.cinderfs`. By option: mount(8) of util-linux 2.39 and later no longer tells the kernel the second
 * half of `-t fuse.cinderfs`, and the mount would be known as `fuse`.
 */
const SUBTYPE = 'subtype=cinderfs';

/** Options of both ways. default_permissions: the kernel checks modes, so that ACCESS is never asked. */
const optionsFor = ({ allowOther }: MountRequest, ...own: readonly string[]): string =>
  [
    ...own,
    `default_permissions,max_read=${MAX_READ}`,
    ...(allowOther ? ['allow_other'] : []),
    MOUNT_FLAGS,
  ].join();

/**
 * Mounts as root: mount(8) inherits the descriptor.
 *
 * @throws CinderfsError `fuse_missing` without /dev/fuse, `fuse_failed` when mount(8) refuses.
 */
export async function mountAsRoot(request: MountRequest): Promise<MountedDevice> {
  const device = await openDevice();
  try {
    await mountOn(device.fd, request);
  } catch (error) {
    await device.close();
    throw error;
  }
  return { fd: device.fd, close: () => device.close() };
}

/** @throws CinderfsError `fuse_missing`. */
export function openDevice(): Promise<FileHandle> {
  return open('/dev/fuse', 'r+').catch((error: unknown) => {
    throw new CinderfsError('fuse_missing', `cannot open /dev/fuse: ${reasonOf(error)}`, { cause: error });
  });
}

/**
 * Mounts /dev/fuse, open as `fd`, as root.
 *
 * @throws CinderfsError `fuse_failed` when mount(8) refuses.
 */
export async function mountOn(fd: number, request: MountRequest): Promise<void> {
  const options = optionsFor(request, `fd=3,rootmode=40000,user_id=0,group_id=0,${SUBTYPE}`);
  const directory = holdMountpoint(request.mountpoint);
  try {
    // -i: no mount.fuse helper in between; -n: nothing in a writable mtab; -c: the directory that descriptor 4 is open
    // on, whatever has its name by now. The dot: a last step that is a link would not be followed by every mount(8).
    const flags = ['-i', '-n', '-c', '-t', 'fuse'];
    await runSystemCommand({
      program: 'mount',
      args: [...flags, request.fsname, '/proc/self/fd/4/.', '-o', options],
      timeoutMs: MOUNT_MS,
      descriptors: [fd, directory.fd],
    });
  } finally {
    directory.close();
  }
}

/**
 * Mounts as an ordinary user: fusermount3, which is setuid, mounts and sends the descriptor over a socket. Node cannot
 * take a descriptor that is no socket, so this needs koffi.
 *
 * @throws CinderfsError `fuse_missing` without koffi, `fuse_failed` when fusermount3 refuses.
 */
export async function mountAsUser(request: MountRequest, calls = systemCalls()): Promise<MountedDevice> {
  const [ours, theirs] = descriptorSockets(calls);
  try {
    await mountThrough(theirs, request);
    const fd = receiveDevice(ours, calls);
    return { fd, close: () => promisify(close)(fd) };
  } finally {
    closeSync(ours);
    closeSync(theirs);
  }
}

/**
 * Where the descriptor arrives and what fusermount3 sends it into.
 *
 * @throws CinderfsError `fuse_missing` without koffi.
 */
export function descriptorSockets(calls = systemCalls()): readonly [number, number] {
  if (calls !== undefined) return calls.socketPair();
  throw new CinderfsError(
    'fuse_missing',
    'an ordinary user mounts through the koffi package, which is missing',
    { remedy: 'Install koffi, mount as root, or use --fuse=native.' },
  );
}

/** @throws CinderfsError `fuse_failed` when fusermount3 refuses. */
export async function mountThrough(socket: number, request: MountRequest): Promise<void> {
  const options = optionsFor(request, `fsname=${request.fsname.replaceAll(',', '\\,')}`, SUBTYPE);
  await runSystemCommand({
    program: 'fusermount3',
    args: ['-o', options, '--', request.mountpoint],
    timeoutMs: MOUNT_MS,
    descriptors: [socket],
    environment: { _FUSE_COMMFD: '3' },
  });
}

/** The descriptor that fusermount3 sent; `leave` lets another process that has the socket take it as well. */
export function receiveDevice(
  socket: number,
  calls = systemCalls(),
  { leave = false }: { readonly leave?: boolean } = {},
): number {
  const fd = calls?.receiveDescriptor(socket, { leave });
  if (fd === undefined) throw new CinderfsError('fuse_failed', 'fusermount3 sent no descriptor');
  return fd;
}
