import { access, readFile } from 'node:fs/promises';

/** Services that attach volumes with os-brick, and what their `$state_path` is when they don't say. */
const NEIGHBOURS = [
  { conf: '/etc/nova/nova.conf', state: '/var/lib/nova' },
  { conf: '/etc/cinder/cinder.conf', state: '/var/lib/cinder' },
  { conf: '/etc/glance/glance-api.conf', state: '/var/lib/glance' },
] as const;

/**
 * The directories in which the services of this host take os-brick's locks: [os_brick] lock_path, else
 * [oslo_concurrency] lock_path. Each may use another one (LP 1947370), so all that exist are taken. `root` is for tests.
 */
export async function neighbourLocks(root = ''): Promise<readonly string[]> {
  const found = await Promise.all(
    NEIGHBOURS.map(async ({ conf, state }) => {
      const directory = lockPathIn(await readFile(root + conf, 'utf8').catch(() => ''), state);
      return directory === undefined || !(await exists(root + directory)) ? [] : [root + directory];
    }),
  );
  return [...new Set(found.flat())];
}

function lockPathIn(conf: string, state: string): string | undefined {
  const values = new Map<string, string>();
  let section = 'DEFAULT';
  for (const line of conf.split('\n')) {
    section = /^\[([^\]]+)\]/.exec(line)?.[1] ?? section;
    const [, key, value] = /^(lock_path|state_path)\s*=\s*(\S+)/.exec(line) ?? [];
    if (key !== undefined && value !== undefined) values.set(`${section}.${key}`, value);
  }
  const path = values.get('os_brick.lock_path') ?? values.get('oslo_concurrency.lock_path');
  return path?.replace('$state_path', values.get('DEFAULT.state_path') ?? state);
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
