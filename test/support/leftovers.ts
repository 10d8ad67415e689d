/** What a daemon may leave on a host, found without asking it. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';

/** qemu-nbd processes whose sockets are below `dir`. */
export async function findServers(dir: string): Promise<readonly number[]> {
  const found: number[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
    const isServer = path.basename(argv[0] ?? '') === 'qemu-nbd';
    if (isServer && argv.some((word) => word.startsWith(`--socket=${dir}/`))) found.push(Number(pid));
  }
  return found;
}

/** Everything below `dir` that is no directory. */
export async function filesBelow(dir: string): Promise<readonly string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.join(entry.parentPath, entry.name));
}

/** Lines of the mount table that are below `dir`. */
export async function mountsBelow(dir: string): Promise<readonly string[]> {
  const table = await readFile('/proc/self/mountinfo', 'utf8');
  return table.split('\n').filter((line) => line.includes(` ${dir}/`));
}
