import type { StdioOptions } from 'node:child_process';
import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { CinderfsError, reasonOf } from '../../errors.js';
import { MOUNT_TYPE } from '../mountpoint.js';
import { systemCode } from './errno.js';
import { MAX_READ } from './protocol.js';

export interface MountRequest {
  readonly mountpoint: string;
  readonly fsname: string;
  readonly allowOther: boolean;
}

const MOUNT_FLAGS = 'ro,nosuid,nodev,noatime';

/**
 * Mounts as root: mount(8) inherits the descriptor. Returns the descriptor of /dev/fuse, the caller's to close.
 *
 * @throws CinderfsError `fuse_missing` without /dev/fuse, `fuse_failed` when mount(8) refuses.
 */
export async function mountAsRoot(
  request: MountRequest,
): Promise<{ fd: number; close: () => Promise<void> }> {
  const device = await open('/dev/fuse', 'r+').catch((error: unknown) => {
    throw new CinderfsError('fuse_missing', `cannot open /dev/fuse: ${reasonOf(error)}`, { cause: error });
  });
  // default_permissions: the kernel checks modes, so that ACCESS is never asked.
  const options = [
    'fd=3,rootmode=40000,user_id=0,group_id=0',
    `default_permissions,max_read=${MAX_READ}`,
    ...(request.allowOther ? ['allow_other'] : []),
    MOUNT_FLAGS,
  ].join(',');
  try {
    // -i: no mount.fuse helper in between; -n: nothing in a writable mtab.
    await run(
      'mount',
      ['-i', '-n', '-t', MOUNT_TYPE, request.fsname, request.mountpoint, '-o', options],
      [device.fd],
    );
  } catch (error) {
    await device.close();
    throw error;
  }
  return { fd: device.fd, close: () => device.close() };
}

/** Runs a command with `descriptors` as its 3, 4, ...; its complaint becomes the error. */
export async function run(
  command: string,
  args: readonly string[],
  descriptors: readonly number[] = [],
): Promise<void> {
  const stdio: StdioOptions = ['ignore', 'ignore', 'pipe', ...descriptors];
  const child = spawn(command, args, { stdio, env: { ...process.env, LC_ALL: 'C' } });
  let complaint = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  const status = await new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
    child.on('error', (error) =>
      reject(
        systemCode(error) === 'ENOENT'
          ? new CinderfsError('fuse_failed', `${command} is not installed`, { cause: error })
          : error,
      ),
    );
    child.on('close', (code, signal) => resolve(code ?? signal));
  });
  if (status === 0) return;
  throw new CinderfsError('fuse_failed', `${command} failed (${String(status)}): ${complaint.trim()}`);
}
