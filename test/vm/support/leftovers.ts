import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** Everything that attaching a volume may leave on a host, by name. Empty on a host that has let go of everything. */
export function leftovers(): readonly string[] {
  const disks = entries('/sys/class/block').filter(
    (name) => /^(sd|nvme|dm-|nbd|rbd)/.test(name) && !isIdleNbd(name),
  );
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .filter((line) => / (nfs4?|fuse\S*) /.test(line) && !line.includes('fusectl'));
  return [
    ...disks,
    ...entries('/sys/class/iscsi_session'),
    ...entries('/etc/iscsi/nodes'),
    ...entries('/sys/class/nvme'),
    ...mounts,
  ];
}

function entries(directory: string): readonly string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

/** /dev/nbdN exist as soon as the module is loaded. */
function isIdleNbd(name: string): boolean {
  return name.startsWith('nbd') && !existsSync(`/sys/class/block/${name}/pid`);
}
