import type { RbdTarget, Target } from '../backings/backing.js';
import { run } from '../command.js';
import { fio, fioTarget } from './fio.js';

const MiB = 2 ** 20;

export interface SequentialRead {
  readonly bytes: number;
  readonly bytesPerSecond: number;
  /** User and system time of the reader itself; undefined for fio, which leaves out the threads of librbd. */
  readonly cpuSeconds: number | undefined;
}

/** Reads the first `bytes` once from beginning to end in pieces of 1 MiB. */
export async function sequentialRead(
  target: Target,
  bytes: number,
  signal: AbortSignal,
): Promise<SequentialRead> {
  return target.kind === 'path' ? readPath(target.path, bytes, signal) : readRbd(target, bytes, signal);
}

/** dd, which does nothing but read(2); bash's time says what its process cost. */
async function readPath(path: string, bytes: number, signal: AbortSignal): Promise<SequentialRead> {
  const script = 'TIMEFORMAT="cpu %U %S"; time dd if="$1" of=/dev/null bs=1M iflag=count_bytes count="$2"';
  const { stderr } = await run('bash', ['-c', script, 'bash', path, String(bytes)], { signal });
  const [, copied, seconds] = /^(\d+) bytes.* copied, ([\d.e-]+) s/m.exec(stderr) ?? [];
  const [, user, system] = /^cpu ([\d.]+) ([\d.]+)$/m.exec(stderr) ?? [];
  if (Number(copied) !== bytes)
    throw new Error(`${path}: dd read ${copied ?? 'nothing'} instead of ${bytes} bytes`);
  return { bytes, bytesPerSecond: bytes / Number(seconds), cpuSeconds: Number(user) + Number(system) };
}

/** fio through librbd, with as much in flight as a kernel would read ahead: the limit for whoever reads RBD. */
async function readRbd(target: RbdTarget, bytes: number, signal: AbortSignal): Promise<SequentialRead> {
  const job = await fio(
    [...fioTarget(target), '--rw=read', `--bs=${MiB}`, `--size=${bytes}`, '--iodepth=8'],
    signal,
  );
  return { bytes, bytesPerSecond: job.read.bw_bytes, cpuSeconds: undefined };
}
