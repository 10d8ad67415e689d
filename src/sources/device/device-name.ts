import { closeSync, constants, fstatSync, openSync, readdirSync } from 'node:fs';
import type { SystemCalls } from '../../sys/calls/system-calls.js';
import { sysfsOf } from '../../sys/devices/block-device.js';
import { kernelTextSync } from '../../sys/files/kernel-text.js';

const READ_ONLY = constants.O_RDONLY | constants.O_NONBLOCK;

/**
 * Whether every path of the block device behind `fd` says that it leads to the volume that `tag` names
 * (DeviceSource.identityTag). Asked right after a read, this tells whose bytes those are: an array may have mapped another volume
 * at the same address meanwhile, and the kernel does not notice. Paths that are down gave no bytes.
 */
export function stillIdentifiesAs(fd: number, tag: Buffer, calls: SystemCalls): boolean {
  const answers = answersOf(sysfsOf(fstatSync(fd, { bigint: true }).rdev), fd, calls);
  return answers.length > 0 && answers.every((answer) => answer?.includes(tag) === true);
}

function answersOf(sys: string, fd: number, calls: SystemCalls): readonly (Buffer | undefined)[] {
  const paths = entries(`${sys}/slaves`);
  if (paths.length > 0)
    return paths
      .filter((path) => kernelTextSync(`${sys}/slaves/${path}/device/state`) === 'running')
      .map((path) => through(path, (disk) => calls.inquire(disk)));
  const namespace = Number(kernelTextSync(`${sys}/nsid`));
  if (namespace > 0)
    return controllersOf(sys).map((name) => through(name, (control) => calls.identify(control, namespace)));
  return [calls.inquire(fd)];
}

/** The live controllers of a namespace: those of its subsystem, or the one that it hangs on without native multipath. */
function controllersOf(sys: string): readonly string[] {
  const above = entries(`${sys}/device`).filter((name) => /^nvme\d+$/.test(name));
  const live = above.filter((name) => kernelTextSync(`${sys}/device/${name}/state`) === 'live');
  if (above.length > 0 || kernelTextSync(`${sys}/device/state`) !== 'live') return live;
  return [/DEVNAME=(.+)/.exec(kernelTextSync(`${sys}/device/uevent`))?.[1] ?? ''];
}

function through<T>(name: string, ask: (fd: number) => T): T | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(`/dev/${name}`, READ_ONLY);
    return ask(fd);
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function entries(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
