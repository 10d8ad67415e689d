/** What happens to a hypervisor: the daemon dies, is unmounted, stands still; what it runs is killed. */
import { findServers } from '../../support/leftovers.js';
import { LAUNCHER } from '../../support/program.js';
import type { Random } from '../../support/random.js';
import { moment } from '../../support/time.js';
import type { SoakHost } from '../host.js';
import type { World } from '../world.js';
import type { Hurt } from './hurt.js';

export const HOST_HURTS: readonly Hurt[] = [
  { name: 'kill -9 the daemon', weight: 4, strike: kill },
  { name: 'umount', weight: 2, strike: umount },
  { name: 'freeze a daemon', weight: 1, strike: freeze },
  { name: 'kill qemu-nbd', weight: 2, strike: killServer },
];

/** How the daemon is started in its next life: the way to the volumes may have been changed meanwhile. */
export function drawArguments(random: Random): readonly string[] {
  const connector = random.pick(['auto', 'local', 'qemu', 'qemu']);
  return ['--connector', connector, ...(random.chance(0.3) ? ['--no-passthrough'] : [])];
}

/** One life at a time: two hurts that kill and start the same host would wait for each other's process. */
const busy = new WeakSet<SoakHost>();

async function restart(
  world: World,
  random: Random,
  end: (host: SoakHost) => Promise<boolean>,
): Promise<void> {
  const host = world.mortal;
  if (busy.has(host) || !host.serves) return;
  busy.add(host);
  try {
    if (!(await end(host))) return;
    await moment(random.whole(0, 2_000));
    await host.startUntilReady(drawArguments(random));
  } finally {
    busy.delete(host);
  }
}

async function kill(world: World, random: Random): Promise<void> {
  await restart(world, random, async (host) => {
    world.tally.kills += 1;
    await host.end('SIGKILL');
    return true;
  });
}

async function umount(world: World, random: Random): Promise<void> {
  await restart(world, random, async (host) => {
    world.tally.umounts += 1;
    switch (random.pick(['SIGTERM', 'cinderfs umount', 'umount(8)'])) {
      case 'SIGTERM':
        await host.end('SIGTERM');
        return true;
      case 'cinderfs umount':
        return host.umount([process.execPath, LAUNCHER, 'umount', host.mountpoint]);
      default:
        return host.umount(['umount', host.mountpoint]);
    }
  });
}

async function freeze(world: World, random: Random): Promise<void> {
  world.tally.hurt('frozen daemon');
  await random.pick(world.hosts).freeze(random.whole(500, 4_000));
}

async function killServer(world: World, random: Random): Promise<void> {
  const servers = await findServers(world.dir);
  if (servers.length === 0) return;
  world.tally.hurt('killed qemu-nbd');
  process.kill(random.pick(servers), 'SIGKILL');
}
