import { closeSync } from 'node:fs';
import { CinderfsError } from '../../errors.js';
import { errnoName, loadKoffi } from '../calls/koffi.js';

/** Since Linux 5.2, with the same numbers on every architecture. */
const SYS_FSOPEN = 430;
const SYS_FSCONFIG = 431;
const SYS_FSMOUNT = 432;
const FSCONFIG_CMD_CREATE = 6;
const CLOEXEC = 1;

/**
 * Mounts the control file system of FUSE where no other process sees it, for as long as `use` takes, which is given its
 * directory: a host may not have it at /sys/fs/fuse/connections.
 *
 * @throws CinderfsError `fuse_failed` without koffi and where this process may not mount.
 */
export async function withFusectl<T>(use: (directory: string) => Promise<T>): Promise<T> {
  const mount = mountFusectl();
  try {
    return await use(`/proc/self/fd/${mount}`);
  } finally {
    closeSync(mount);
  }
}

/** The descriptor of a mount that is attached to no directory. */
function mountFusectl(): number {
  const koffi = loadKoffi();
  if (koffi === undefined) throw new CinderfsError('fuse_failed', 'the koffi package is missing');
  const syscall = koffi.load('libc.so.6').func('long syscall(long number, ...)');
  const call = (what: string, number: number, ...words: readonly unknown[]): number => {
    const result = Number(syscall(number, ...words));
    if (result >= 0) return result;
    throw new CinderfsError('fuse_failed', `${what}: ${errnoName(koffi, koffi.errno())}`);
  };
  const context = call('fsopen', SYS_FSOPEN, 'str', 'fusectl', 'int', CLOEXEC);
  try {
    const none = ['void *', null, 'void *', null, 'int', 0];
    call('fsconfig', SYS_FSCONFIG, 'int', context, 'int', FSCONFIG_CMD_CREATE, ...none);
    return call('fsmount', SYS_FSMOUNT, 'int', context, 'int', CLOEXEC, 'int', 0);
  } finally {
    closeSync(context);
  }
}
