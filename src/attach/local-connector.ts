import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CinderfsError, reasonOf } from '../errors.js';
import type { ConnectionInfo } from '../cinder/types.js';
import { absolutePath, textOf } from './backend-values.js';
import type { Connected, Connector, ConnectRequest } from './connector.js';
import type { HostRecord } from './journal/record.js';
import type { FileSource } from './source.js';
import { requireRaw } from './volume-format.js';

/** Node has it; its types come with the DOM only. */
declare const WebAssembly: {
  readonly Memory: new (size: { initial: number }) => { readonly buffer: ArrayBuffer };
};

/** Protocols whose connection_info names a path of this host. */
const WITH_PATH = ['local', 'gpfs'];
/** Protocols whose volumes are files of a share that may be mounted here. */
const WITH_SHARE = ['nfs', 'glusterfs', 'quobyte', 'vzstorage'];
const ALIGNMENT = 4096; // O_DIRECT: the largest logical block in use

/**
 * Reads the volume where it already is on this host: a local path, or a file of a share that is mounted. Makes nothing
 * and removes nothing.
 */
export class LocalConnector implements Connector {
  readonly name = 'local';
  readonly makesNothing = true;

  async refusal(info: ConnectionInfo): Promise<CinderfsError | undefined> {
    try {
      await access(await pathOf(info), constants.R_OK);
      return undefined;
    } catch (error) {
      return CinderfsError.from(error, 'connector_failed');
    }
  }

  plan(): HostRecord {
    return {};
  }

  async connect({ info }: ConnectRequest): Promise<Connected> {
    return connectPath(await pathOf(info));
  }

  async adopt({ path }: HostRecord): Promise<Connected | undefined> {
    return typeof path === 'string' ? connectPath(path).catch(() => undefined) : undefined;
  }

  disconnect(): Promise<void> {
    return Promise.resolve();
  }
}

/** A readable path as a connection; `connector_failed` when it is no file and no block device. */
export async function connectPath(path: string): Promise<Connected & { readonly source: FileSource }> {
  const found = await stat(path).catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
  if (!found.isFile() && !found.isBlockDevice()) throw unreadable(path, 'it is no file and no block device');
  const kind = found.isFile() ? 'file' : 'device';
  return {
    source: { kind, path },
    host: { path },
    // Nothing tells when a file goes away; every proof looks.
    lost: new AbortController().signal,
    object: () => objectAt(path),
    size: () => sizeOf(path),
    read: (offset, length) => readAt(path, kind === 'device', offset, length),
  };
}

/** A file by device and inode; a disk by its number and the kernel's sequence, which no other disk ever had. */
async function objectAt(path: string): Promise<string> {
  const { dev, ino, rdev, isBlock } = await statOf(path);
  if (!isBlock) return `file ${dev}:${ino}`;
  const sequence = await readFile(`${sysOf(rdev)}/diskseq`, 'utf8').catch(() => '');
  return `disk ${rdev}:${sequence.trim()}`;
}

async function sizeOf(path: string): Promise<number> {
  const { size, rdev, isBlock } = await statOf(path);
  return isBlock ? Number(await readFile(`${sysOf(rdev)}/size`, 'utf8')) * 512 : Number(size);
}

async function statOf(
  path: string,
): Promise<{ dev: bigint; ino: bigint; rdev: bigint; size: bigint; isBlock: boolean }> {
  try {
    const found = await stat(path, { bigint: true });
    return {
      dev: found.dev,
      ino: found.ino,
      rdev: found.rdev,
      size: found.size,
      isBlock: found.isBlockDevice(),
    };
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

/** sysfs of a block device, from glibc's split of major and minor. */
function sysOf(rdev: bigint): string {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xfffff000n);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n);
  return `/sys/dev/block/${major}:${minor}`;
}

/** A device is read past the page cache: what the disk holds now, not what it held when it was somebody else's. */
async function readAt(path: string, direct: boolean, offset: number, length: number): Promise<Buffer> {
  const start = direct ? offset - (offset % ALIGNMENT) : offset;
  const span = direct ? Math.ceil((offset + length - start) / ALIGNMENT) * ALIGNMENT : length;
  // WebAssembly memory is page-aligned, as O_DIRECT wants it; a Buffer is where it happens to be.
  const buffer = direct
    ? Buffer.from(new WebAssembly.Memory({ initial: Math.ceil(span / 65_536) }).buffer, 0, span)
    : Buffer.alloc(span);
  const file = await open(path, constants.O_RDONLY | (direct ? constants.O_DIRECT : 0)).catch(
    (cause: unknown) => {
      throw unreadable(path, cause);
    },
  );
  try {
    const { bytesRead } = await file.read(buffer, 0, span, start);
    const end = offset - start + length;
    if (bytesRead < end) throw unreadable(path, `it ends after ${start + bytesRead} bytes`);
    return buffer.subarray(offset - start, end);
  } finally {
    await file.close();
  }
}

async function pathOf(info: ConnectionInfo): Promise<string> {
  const protocol = info.driver_volume_type;
  requireRaw(info, 'local');
  if (WITH_PATH.includes(protocol)) return absolutePath(info.device_path, 'device_path');
  if (!WITH_SHARE.includes(protocol))
    throw new CinderfsError('protocol_unsupported', `the local connector does not speak ${protocol}`);
  return join(
    await mountOf(textOf(info, 'export', 'export'), info.mount_point_base),
    textOf(info, 'name', 'file_name'),
  );
}

/** Where the share is mounted on this host: by anybody, or where os-brick mounts it. */
async function mountOf(share: string, base: unknown): Promise<string> {
  const hashed = createHash('md5').update(share).digest('hex');
  const brick = typeof base === 'string' ? join(absolutePath(base, 'mount_point_base'), hashed) : undefined;
  for (const line of (await readFile('/proc/self/mounts', 'utf8')).split('\n')) {
    const [source, directory] = line.split(' ').map(unescapeMount);
    if (directory !== undefined && (source === share || directory === brick)) return directory;
  }
  throw new CinderfsError('protocol_unsupported', `the share ${share} is not mounted on this host`);
}

/** The kernel writes space, tab, newline and backslash as octal. */
function unescapeMount(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}

function unreadable(path: string, cause: unknown): CinderfsError {
  return new CinderfsError('connector_failed', `cannot read ${path}: ${reasonOf(cause)}`, { path, cause });
}
