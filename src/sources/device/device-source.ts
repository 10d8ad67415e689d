import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { CinderfsError } from '../../errors.js';
import { openNamed } from '../../sys/files/beneath.js';
import { systemCalls } from '../../sys/calls/system-calls.js';
import { cannotOpen, closeQuietly, openFile, openForWorkers, READ_ONLY } from '../file/file-source.js';
import type { PublishedSource, SourceKind, SourcePublisher } from '../contract/source.js';
import { SharedDevices } from './shared-devices.js';

/** A block device, opened O_RDONLY by each reader. */
export interface DeviceSource {
  readonly kind: 'device';
  readonly path: string;
  /**
   * Hexadecimal; what every path of this device says as long as it leads to this volume: part of its answer to INQUIRY
   * page 0x83 or to NVMe's Identify. Absent where the device cannot come to be another one under its reader, or has no
   * name of its own. A reader asks right after a read, and hands nothing on that is not confirmed.
   */
  readonly identityTag?: string | undefined;
}

declare module '../contract/source.js' {
  interface SourceTypes {
    readonly device: DeviceSource;
  }
}

export const deviceSource: SourceKind<DeviceSource> = {
  key: 'device',
  pageCached: true,
  publishOpens: true,
  workerModule: new URL('./device-on-worker.js', import.meta.url),
  describe: ({ path }) => `device:${path}`,
  identify: ({ path }) => path,
  openReader: openFile,
  needsProof: ({ identityTag }) => identityTag !== undefined,
  publisher: () => new DevicePublisher(),
};

class DevicePublisher implements SourcePublisher<DeviceSource> {
  readonly #devices = new SharedDevices();

  get memory(): SharedArrayBuffer {
    return this.#devices.memory;
  }

  /** Undefined for one that has to be asked after each read, where there are no system calls to ask it by. */
  async publish(source: DeviceSource): Promise<PublishedSource | undefined> {
    if (source.identityTag !== undefined && systemCalls() === undefined) return undefined;
    const files: FileHandle[] = [];
    try {
      const cached = await openForWorkers(source);
      files.push(cached);
      await checkKind(source, cached);
      const direct = await openDirect(source);
      if (direct !== undefined) files.push(direct);
      return this.#published(source, cached, direct);
    } catch (error) {
      files.forEach(closeQuietly);
      throw CinderfsError.from(error, 'read_failed', { path: source.path });
    }
  }

  #published(
    { identityTag }: DeviceSource,
    cached: FileHandle,
    direct: FileHandle | undefined,
  ): PublishedSource | undefined {
    // What an earlier user of this device left in the page cache may be another volume's.
    if (direct !== undefined) systemCalls()?.dropCache(cached.fd);
    const files = direct === undefined ? [cached] : [cached, direct];
    const tag = identityTag === undefined ? undefined : Buffer.from(identityTag, 'hex');
    const slot = this.#devices.publish({ directFd: (direct ?? cached).fd, cachedFd: cached.fd, tag });
    if (slot === undefined) {
      files.forEach(closeQuietly);
      return undefined;
    }
    return {
      slot,
      fence: () => files.forEach(({ fd }) => systemCalls()?.replaceWithDevNull(fd)),
      close: () => {
        this.#devices.withdraw(slot);
        files.forEach(closeQuietly);
      },
    };
  }
}

async function checkKind({ path }: DeviceSource, file: FileHandle): Promise<void> {
  const stats = await file.stat();
  if (!stats.isFile() && !stats.isBlockDevice())
    throw new CinderfsError('read_failed', `${path} is neither a file nor a block device`);
}

/** Long reads pass by the host's page cache, where the device can do that. */
async function openDirect(source: DeviceSource): Promise<FileHandle | undefined> {
  try {
    return await openNamed(source, READ_ONLY | constants.O_DIRECT);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EINVAL') return undefined;
    throw cannotOpen(source, error);
  }
}
