/** What must be zero when nobody reads: in Cinder, on the hosts, in the journals. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { SoakHost } from './host.js';
import type { World } from './world.js';

/** What is left, in words; empty at rest. Daemons may run. */
export async function leftovers(world: World): Promise<readonly string[]> {
  const { cloud } = world.devcloud;
  const left = [...cloud.attachments.values()]
    .filter(({ id }) => !world.foreign.has(id))
    .map(({ id, status, volumeId }) => `attachment ${id} of volume ${volumeId} is ${status} in Cinder`);
  for (const { id, status } of cloud.volumes.values())
    if (status !== 'available') left.push(`volume ${id} is ${status} in Cinder`);
  for (const pid of await findServers(world.dir)) left.push(`qemu-nbd ${pid} runs`);
  for (const host of world.hosts) left.push(...(await leftOnHost(host)));
  return left;
}

/** The same, and besides: no mount, no process, no socket. */
export async function leftAfterEnd(world: World): Promise<readonly string[]> {
  const left = [...(await leftovers(world))];
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  for (const line of mounts.split('\n')) if (line.includes(` ${world.dir}/`)) left.push(`mounted: ${line}`);
  for (const host of world.hosts) {
    const files = await filesBelow(host.runDir);
    left.push(...files.map((file) => `${host.name}: ${file} is left`));
  }
  return left;
}

/** Our qemu-nbd processes: their sockets are below `dir`. */
export async function findServers(dir: string): Promise<readonly number[]> {
  const found: number[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
    const isServer = path.basename(argv[0] ?? '') === 'qemu-nbd';
    if (isServer && argv.some((word) => word.startsWith(`--socket=${dir}/`))) found.push(Number(pid));
  }
  return found;
}

/** Open descriptors and resident bytes of a process. */
export async function sizeOf(pid: number): Promise<{ readonly fds: number; readonly rss: number }> {
  const fds = (await readdir(`/proc/${pid}/fd`)).length;
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return { fds, rss: Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024 };
}

async function leftOnHost(host: SoakHost): Promise<readonly string[]> {
  const journal = await readdir(path.join(host.stateDir, 'attachments')).catch(() => []);
  const servers = (await filesBelow(host.runDir)).filter((file) => file.includes('/nbd/'));
  const left = [...journal.map((name) => `journal entry ${name}`), ...servers.map((file) => `file ${file}`)];
  if (host.serves) {
    const status = await host.status();
    if (status === undefined) left.push('no status');
    for (const { image_name: name, state } of status?.attachments ?? []) left.push(`${name} is ${state}`);
    for (const { image_id: id } of status?.open_files ?? []) left.push(`${id} is open`);
  }
  return left.map((what) => `${host.name}: ${what}`);
}

async function filesBelow(dir: string): Promise<readonly string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.join(entry.parentPath, entry.name));
}
