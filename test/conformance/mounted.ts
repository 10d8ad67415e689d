import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { MountTransport, MountedTransport, TransportOptions } from '../../src/fs/contract/transport.js';
import { silentLog } from '../../src/log.js';
import { temporaryFolder } from '../support/temporary.js';
import { PosixClient } from './posix-client.js';
import type { Carrier, OpenedFile, Subject } from './subject.js';
import type { World } from './world.js';

/** Carries the file system over a real mount by `mount`, used by a process of its own. */
export function overMount(name: string, mount: MountTransport, seeksHoles: boolean): Carrier {
  return {
    name,
    carry: async (world) => {
      const { mountpoint, client } = await mountWorld(world, mount);
      return new MountedSubject(mountpoint, client, seeksHoles);
    },
  };
}

/** Mounts in a folder of the test's own; unmounted when it is over, with nobody left waiting. */
export async function mountWorld(
  world: World,
  mount: MountTransport,
  options: Partial<TransportOptions> = {},
): Promise<{ mountpoint: string; client: PosixClient; mounted: MountedTransport }> {
  const mountpoint = path.join(await temporaryFolder(world.undo), 'images');
  await mkdir(mountpoint);
  const mounted = await mount(world.filesystem, {
    mountpoint,
    fsname: 'cinderfs-test',
    allowOther: true,
    readTimeoutMs: 20_000,
    openTimeoutMs: 20_000,
    attributeTtlSeconds: 60,
    pieceBytes: 4 * 2 ** 20,
    passthrough: false,
    log: silentLog,
    ...options,
  });
  const client = new PosixClient();
  world.undo.after(async () => {
    world.hungServer.letGo();
    await client.close();
    await mounted.unmount({ lazy: true });
    await mounted.ended;
  });
  return { mountpoint, client, mounted };
}

class MountedSubject implements Subject {
  readonly kernel: NonNullable<Subject['kernel']>;
  readonly seeksHoles: boolean;
  readonly #client: PosixClient;
  readonly #at: (path: string) => string;

  constructor(mountpoint: string, client: PosixClient, seeksHoles: boolean) {
    this.#client = client;
    this.#at = (name) => path.join(mountpoint, name);
    this.seeksHoles = seeksHoles;
    this.kernel = {
      at: this.#at,
      call: (op, ...args) => client.call(op, ...args),
      bytes: (op, ...args) => client.bytes(op, ...args),
    };
  }

  list(name: string): Promise<string[]> {
    return this.#client.call('list', this.#at(name));
  }

  stat(name: string): ReturnType<Subject['stat']> {
    return this.#client.call('stat', this.#at(name));
  }

  readlink(name: string): Promise<string> {
    return this.#client.call('readlink', this.#at(name));
  }

  async open(name: string): Promise<OpenedFile> {
    const fd = await this.#client.call<number>('open', this.#at(name));
    return {
      pread: (offset, length) => this.#client.bytes('pread', fd, offset, length),
      lseek: (offset, whence) => this.#client.call('lseek', fd, offset, whence),
      size: () => this.#client.call('fstat', fd),
      close: () => this.#client.call('close', fd),
    };
  }

  getxattr(name: string, attribute: string): Promise<Buffer> {
    return this.#client.bytes('getxattr', this.#at(name), attribute);
  }

  listxattr(name: string): Promise<string[]> {
    return this.#client.call('listxattr', this.#at(name));
  }

  statvfs(): ReturnType<Subject['statvfs']> {
    return this.#client.call('statvfs', this.#at(''));
  }
}
