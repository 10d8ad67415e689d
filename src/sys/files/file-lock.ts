import { spawnSync } from 'node:child_process';
import { childEnvironment } from '../child-environment.js';
import { loadKoffi, type KoffiFunction } from '../calls/koffi.js';

/** flock(2). */
const LOCK_EX_NB = 2 | 4;
const LOCK_UN = 8;
/** Milliseconds for flock(1), which does not wait for the lock. */
const COMMAND_MS = 5_000;
/** Of flock(1), where another has the lock. */
const REFUSED = 1;

let flock: KoffiFunction | null | undefined;

/**
 * Locks the file that `fd` is open on, for the holders of that descriptor; false when it is locked elsewhere. The kernel
 * releases it when the last copy of the descriptor is closed, however its process ends: a stale lock cannot exist.
 *
 * flock(2), because flock(1) takes the very same lock: without koffi it is asked to lock our own descriptor.
 */
export function lockFile(fd: number): boolean {
  const call = systemCall();
  return call === undefined ? lockByCommand(fd) : Number(call(fd, LOCK_EX_NB)) === 0;
}

/** Also where a child that is just being started has a copy of the descriptor. */
export function unlockFile(fd: number): void {
  systemCall()?.(fd, LOCK_UN);
}

/** @throws Error where flock(1) is missing. */
export function lockByCommand(fd: number): boolean {
  const { status, error } = spawnSync('flock', ['--exclusive', '--nonblock', '3'], {
    stdio: ['ignore', 'ignore', 'ignore', fd],
    timeout: COMMAND_MS,
    env: childEnvironment(),
  });
  if (status === 0) return true;
  if (status === REFUSED) return false;
  throw error ?? new Error(`flock(1) failed with status ${status ?? 'none'}`);
}

function systemCall(): KoffiFunction | undefined {
  flock ??= loadKoffi()?.load('libc.so.6').func('int flock(int fd, int operation)') ?? null;
  return flock ?? undefined;
}
