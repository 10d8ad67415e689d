/** The portable second transport (`--fuse=native`): libfuse 2 through the fuse-native package. */
import { constants } from 'node:fs';
import { access, readdir, readlink } from 'node:fs/promises';
import { promisify } from 'node:util';
import { sleep, systemClock } from '../../async/clock.js';
import { CinderfsError } from '../../errors.js';
import { sourceKinds } from '../../sources/registry.js';
import type { SourceKinds } from '../../sources/source-kinds.js';
import { cutOff } from '../mount/fuse-connection.js';
import { prepareMountpoint, unmount } from '../mount/mountpoint.js';
import type { MountTransport, MountedTransport, UnmountOptions } from '../contract/transport.js';
import { NativeAdapter } from './adapter.js';
import { loadBinding } from './binding.js';
import type { NativeFuse } from './binding.js';
import { bindingOptions } from './options.js';
import { refusedOperations } from './refused.js';

const POLL_MS = 250;

/** Mounts with libfuse 2. `fuse_missing` where the package, its library or /dev/fuse is not there. */
export const mountNative: MountTransport = async (filesystem, options) => {
  const Fuse = loadBinding();
  await access('/dev/fuse', constants.R_OK | constants.W_OK).catch((cause: unknown) => {
    throw new CinderfsError('fuse_missing', '/dev/fuse cannot be opened for reading and writing', { cause });
  });
  const mountpoint = await prepareMountpoint(options.mountpoint, options.log);
  const adapter = new NativeAdapter(filesystem, options, systemClock);
  const operations = { ...adapter.operations(), ...refusedOperations(), getxattr: asked, listxattr: asked };
  const fuse = new Fuse(mountpoint, operations, bindingOptions(options));
  fuse._op_getxattr = (answer, path, name, buffer) => adapter.getxattr(path, name, buffer, answer);
  fuse._op_listxattr = (answer, path, buffer) => adapter.listxattr(path, buffer, answer);
  return new NativeMount(fuse, adapter, mountpoint, options.sources ?? sourceKinds()).start();
};

/** Only its presence counts: it makes the binding call the hook of the same name. */
const asked = (): void => undefined;

class NativeMount implements MountedTransport {
  readonly #fuse: NativeFuse;
  readonly #adapter: NativeAdapter;
  readonly #mountpoint: string;
  readonly #kinds: SourceKinds;
  readonly ended: Promise<void>;
  #end: () => void = () => undefined;

  constructor(fuse: NativeFuse, adapter: NativeAdapter, mountpoint: string, kinds: SourceKinds) {
    this.#fuse = fuse;
    this.#kinds = kinds;
    this.#adapter = adapter;
    this.#mountpoint = mountpoint;
    this.ended = new Promise((resolve) => (this.#end = resolve));
  }

  async start(): Promise<this> {
    const before = new Set(await fuseDescriptors());
    try {
      await promisify(this.#fuse.mount.bind(this.#fuse))();
    } catch (cause) {
      throw new CinderfsError('fuse_failed', `libfuse could not mount ${this.#mountpoint}`, { cause });
    }
    const connection = (await fuseDescriptors()).filter((fd) => !before.has(fd));
    void this.#watch(connection);
    return this;
  }

  served(): ReturnType<MountedTransport['served']> {
    return this.#adapter.openFiles().map(({ handle, source }) => ({
      handle,
      how: source === undefined ? 'read' : this.#kinds.servedAs(source),
    }));
  }

  async unmount({ lazy = false, abort = false }: UnmountOptions = {}): Promise<void> {
    if (abort) await cutOff(this.#mountpoint);
    else await unmount(this.#mountpoint, { lazy });
    if (!lazy) await this.ended;
  }

  /**
   * The binding says nothing when its loop ends, but closes its /dev/fuse then: after umount(8), after an abort, and
   * after a lazy unmount not before the last file is closed. Polled, for want of an event.
   */
  async #watch(connection: readonly string[]): Promise<void> {
    const alive = async (): Promise<boolean> => (await Promise.all(connection.map(isFuse))).includes(true);
    while (await alive()) await sleep(systemClock, POLL_MS);
    this.#adapter.releaseAll();
    this.#fuse.unmount(() => this.#end());
  }
}

/** This process's descriptors of /dev/fuse. */
async function fuseDescriptors(): Promise<string[]> {
  const open: string[] = [];
  for (const fd of await readdir('/proc/self/fd')) if (await isFuse(fd)) open.push(fd);
  return open;
}

async function isFuse(fd: string): Promise<boolean> {
  return (await readlink(`/proc/self/fd/${fd}`).catch(() => '')) === '/dev/fuse';
}
