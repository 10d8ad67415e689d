import { access } from 'node:fs/promises';
import { OsloConf } from '../../host/oslo-conf.js';

/** Services that attach volumes with os-brick, and what their `$state_path` is when they don't say. */
const NEIGHBOURS = [
  { conf: '/etc/nova/nova.conf', state: '/var/lib/nova' },
  { conf: '/etc/cinder/cinder.conf', state: '/var/lib/cinder' },
  { conf: '/etc/glance/glance-api.conf', state: '/var/lib/glance' },
] as const;

/** How nova-compute on this host attaches volumes. Undefined where it does not say, or where there is none. */
export interface NovaHabits {
  readonly multipath: boolean | undefined;
  readonly enforceMultipath: boolean | undefined;
  readonly scanAttempts: number | undefined;
}

export async function novaHabits(root = ''): Promise<NovaHabits> {
  const nova = await OsloConf.read(`${root}/etc/nova/nova.conf`);
  const tries = Number(nova.get('libvirt', 'num_volume_scan_tries'));
  return {
    multipath: nova.flag('libvirt', 'volume_use_multipath'),
    enforceMultipath: nova.flag('libvirt', 'volume_enforce_multipath'),
    scanAttempts: Number.isInteger(tries) && tries > 0 ? tries : undefined,
  };
}

/**
 * The directories in which the services of this host take os-brick's locks. Each may use another one (LP 1947370), and
 * one service two of them: [os_brick] lock_path for devices, [oslo_concurrency] lock_path for shared targets and for
 * volumes. So all that exist are taken. `root` is for tests.
 */
export async function neighbourLocks(root = ''): Promise<readonly string[]> {
  const found = await Promise.all(
    NEIGHBOURS.map(async ({ conf, state }) => {
      const service = await OsloConf.read(root + conf, { state_path: state });
      return ['os_brick', 'oslo_concurrency'].map((section) => service.get(section, 'lock_path'));
    }),
  );
  const named = [...new Set(found.flat())].flatMap((path) => (path === undefined ? [] : [root + path]));
  const there = await Promise.all(named.map(exists));
  return named.filter((_, index) => there[index]);
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
