import { readFile } from 'node:fs/promises';
import { arch, cpus, loadavg, release, totalmem } from 'node:os';
import { run } from './command.js';

/** What the figures were measured on. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  /** Of the minute before the run: whatever it is above zero is somebody else's, and in every figure. */
  readonly loadBefore: number;
  readonly architecture: string;
  readonly system: string;
  readonly kernel: string;
  readonly node: string;
  /** Versions of the peers that are installed, by Debian package. */
  readonly packages: Readonly<Record<string, string>>;
}

const PACKAGES = [
  'fio',
  'libnbd-bin',
  'nbdkit',
  'qemu-utils',
  'qemu-system-common',
  'rbd-fuse',
  'libfuse2',
  'libfuse3-3',
];

/** To be asked before the run begins. */
export async function describeMachine(): Promise<Machine> {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    loadBefore: loadavg()[0] ?? 0,
    architecture: arch(),
    system: await systemName(),
    kernel: release(),
    node: process.version,
    packages: await versions(),
  };
}

async function systemName(): Promise<string> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '');
  return /^PRETTY_NAME="?([^"\n]*)/m.exec(text)?.[1] ?? 'unknown';
}

async function versions(): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of PACKAGES) {
    const answer = await run('dpkg-query', ['-W', '-f', '${Version}', name]).catch(() => undefined);
    if (answer !== undefined && answer.stdout !== '') found[name] = answer.stdout;
  }
  return found;
}
