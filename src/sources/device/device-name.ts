import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync } from 'node:fs';
import type { SystemCalls } from '../../sys/calls/system-calls.js';

const READ_ONLY = constants.O_RDONLY | constants.O_NONBLOCK;

/**
 * Whether every path of the block device behind `fd` says that it leads to the volume that `tag` names
 * (DeviceSource.identityTag). Asked right after a read, this tells whose bytes those are: an array may have mapped another volume
 * at the same address meanwhile, and the kernel does not notice. Paths that are down gave no bytes.
 */
export function stillIdentifiesAs(fd: number, tag: Buffer, calls: SystemCalls): boolean {
  const { rdev } = fstatSync(fd);
  const sys = `/sys/dev/block/${major(rdev)}:${minor(rdev)}`;
  const answers = answersOf(sys, fd, calls);
  return answers.length > 0 && answers.every((answer) => answer?.includes(tag) === true);
}

function answersOf(sys: string, fd: number, calls: SystemCalls): readonly (Buffer | undefined)[] {
  const paths = entries(`${sys}/slaves`);
  if (paths.length > 0)
    return paths
      .filter((path) => text(`${sys}/slaves/${path}/device/state`) === 'running')
      .map((path) => through(path, (disk) => calls.inquire(disk)));
  const namespace = Number(text(`${sys}/nsid`));
  if (namespace > 0)
    return controllersOf(sys).map((name) => through(name, (control) => calls.identify(control, namespace)));
  return [calls.inquire(fd)];
}

/** The live controllers of a namespace: those of its subsystem, or the one that it hangs on without native multipath. */
function controllersOf(sys: string): readonly string[] {
  const above = entries(`${sys}/device`).filter((name) => /^nvme\d+$/.test(name));
  const live = above.filter((name) => text(`${sys}/device/${name}/state`) === 'live');
  if (above.length > 0 || text(`${sys}/device/state`) !== 'live') return live;
  return [/DEVNAME=(.+)/.exec(text(`${sys}/device/uevent`))?.[1] ?? ''];
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

function text(path: string): string {
  try {
    return readFileSync(path, 'ascii').trim();
  } catch {
    return '';
  }
}

/** glibc's split of a device number. */
function major(rdev: number): number {
  const number = BigInt(rdev);
  return Number(((number >> 8n) & 0xfffn) | ((number >> 32n) & 0xfffff000n));
}

function minor(rdev: number): number {
  const number = BigInt(rdev);
  return Number((number & 0xffn) | ((number >> 12n) & 0xffffff00n));
}
