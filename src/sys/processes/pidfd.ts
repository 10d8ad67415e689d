import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import { type KoffiFunction, loadKoffi } from '../calls/koffi.js';

/** A process held by descriptor: whatever is signalled through it is that process, never one that got its number later. */
export interface PidFd {
  /** False when the process is gone, or is not ours to signal. */
  signal(signal: NodeJS.Signals): boolean;
  close(): void;
}

/** The same numbers on every architecture (they came after those were unified). */
const SYS_PIDFD_SEND_SIGNAL = 424;
const SYS_PIDFD_OPEN = 434;

let syscall: KoffiFunction | undefined;

/** Undefined when there is no such process, and where koffi or the kernel (5.3) has no pidfd. The caller closes it. */
export function openPidFd(pid: number): PidFd | undefined {
  syscall ??= loadKoffi()?.load('libc.so.6').func('long syscall(long, long, long, void *, long)');
  const call = syscall;
  if (call === undefined) return undefined;
  const fd = Number(call(SYS_PIDFD_OPEN, pid, 0, null, 0));
  if (fd < 0) return undefined;
  return {
    signal: (signal) => Number(call(SYS_PIDFD_SEND_SIGNAL, fd, constants.signals[signal], null, 0)) === 0,
    close: () => closeSync(fd),
  };
}
