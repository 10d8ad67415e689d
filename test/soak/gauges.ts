/** What must be zero when nobody reads: in Cinder, on the hosts, in the journals. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { filesBelow, findServers, mountsBelow } from '../support/leftovers.js';
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
  for (const line of await mountsBelow(world.dir)) left.push(`mounted: ${line}`);
  for (const host of world.hosts) {
    const files = await filesBelow(host.runDir);
    left.push(...files.map((file) => `${host.name}: ${file} is left`));
  }
  return left;
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
