import { CinderfsError } from '../errors.js';
import type { Koffi } from '../sys/calls/koffi.js';
import { errnoName, loadKoffi } from '../sys/calls/koffi.js';
import type { ClusterAddress, RbdAddress } from './address.js';
import type { Call, CephCalls } from './calls.js';
import { cephCalls } from './calls.js';

/** An image that is open, and the context of its pool. */
export interface ImageHandle {
  readonly image: number;
  readonly pool: number;
  /** Bytes. */
  readonly size: number;
  /** Given by the cluster, never again to another image. */
  readonly id: string;
}

export interface Extent {
  readonly offset: number;
  readonly length: number;
}

/**
 * librados and librbd. Handles are addresses in this process, the same for every thread. The caller of close has made sure
 * that no thread is inside a call with it: that would not be an error but a crash. Everything but `readSync` runs on pool
 * threads. Throws CinderfsError `connector_failed`, and `read_failed` for reads.
 */
export interface CephLibrary {
  connect(address: ClusterAddress, settings: Readonly<Record<string, string>>): Promise<number>;
  disconnect(cluster: number): Promise<void>;
  /** Read-only, and so without a watch: nothing keeps its owner from deleting it, nothing is left by a crash. */
  open(cluster: number, address: RbdAddress): Promise<ImageHandle>;
  close(handle: ImageHandle): Promise<void>;
  /** The id of the image that has the name now; undefined when there is none. */
  idOf(handle: ImageHandle, name: string): Promise<string | undefined>;
  /** Fills `bytes` from `offset` on. */
  read(image: number, offset: number, bytes: Buffer): Promise<void>;
  /** The same at once, for a thread that may block. */
  readSync(image: number, offset: number, bytes: Buffer): void;
  /** What is allocated of a range, in order, in whole objects; that of a parent image included. */
  extents(image: number, offset: number, length: number): Promise<readonly Extent[]>;
}

const ENOENT = 2;
const ID_BYTES = 128;
let loaded: CephLibrary | null | undefined;

/** Undefined where koffi, librados or librbd is not installed. Loads them at the first call of each thread. */
export function cephLibrary(): CephLibrary | undefined {
  loaded ??= load();
  return loaded ?? undefined;
}

function load(): CephLibrary | null {
  const koffi = loadKoffi();
  if (koffi === undefined) return null;
  try {
    return new KoffiLibrary(koffi, cephCalls(koffi));
  } catch {
    return null;
  }
}

class KoffiLibrary implements CephLibrary {
  readonly #koffi: Koffi;
  readonly #calls: CephCalls;

  constructor(koffi: Koffi, calls: CephCalls) {
    this.#koffi = koffi;
    this.#calls = calls;
  }

  async connect(address: ClusterAddress, settings: Readonly<Record<string, string>>): Promise<number> {
    const made = [0];
    const user = `client.${address.user ?? 'admin'}`;
    this.#check('rados_create2', this.#calls.create(made, address.cluster, user, 0));
    const [cluster = 0] = made;
    try {
      await this.#configure(cluster, address, settings);
      this.#check(`the Ceph cluster ${address.cluster}`, await this.#on('connect', cluster));
      return cluster;
    } catch (error) {
      await this.disconnect(cluster);
      throw error;
    }
  }

  async disconnect(cluster: number): Promise<void> {
    await this.#on('shutdown', cluster);
  }

  async open(cluster: number, { pool: name, namespace, image }: RbdAddress): Promise<ImageHandle> {
    const made = [0];
    this.#check(`the Ceph pool ${name}`, await this.#on('openPool', cluster, name, made));
    const [pool = 0] = made;
    try {
      if (namespace !== undefined) this.#calls.setNamespace(pool, namespace);
      this.#check(`the RBD image ${image}`, await this.#on('open', pool, image, made, null));
    } catch (error) {
      this.#calls.closePool(pool);
      throw error;
    }
    return this.#described(made[0] ?? 0, pool);
  }

  async close({ image, pool }: Pick<ImageHandle, 'image' | 'pool'>): Promise<void> {
    await this.#on('close', image);
    this.#calls.closePool(pool);
  }

  async idOf({ pool }: ImageHandle, name: string): Promise<string | undefined> {
    const bytes = Buffer.alloc(ID_BYTES);
    const got = await this.#on('readObject', pool, `rbd_id.${name}`, bytes, bytes.length, 0);
    if (got === -ENOENT) return undefined;
    this.#check(`the id of the RBD image ${name}`, got);
    return bytes.toString('latin1', 4, 4 + bytes.readUInt32LE(0));
  }

  async read(image: number, offset: number, bytes: Buffer): Promise<void> {
    this.#whole(await this.#on('read', image, offset, bytes.length, bytes), offset, bytes.length);
  }

  readSync(image: number, offset: number, bytes: Buffer): void {
    this.#whole(Number(this.#calls.read(image, offset, bytes.length, bytes)), offset, bytes.length);
  }

  async extents(image: number, offset: number, length: number): Promise<readonly Extent[]> {
    const found: Extent[] = [];
    const note = (at: number, bytes: number, exists: number): number => {
      if (exists !== 0) found.push({ offset: at, length: bytes });
      return 0;
    };
    const result = await this.#on('extents', image, null, offset, length, 1, 1, note, null);
    this.#check('librbd could not tell what is allocated', result, 'read_failed');
    return found;
  }

  async #configure(
    cluster: number,
    { conf, keyring, monitors }: ClusterAddress,
    settings: Readonly<Record<string, string>>,
  ): Promise<void> {
    const set = (option: string, value: string): number =>
      Number(this.#calls.setConf(cluster, option, value));
    if (conf !== undefined) this.#check(conf, await this.#on('readConf', cluster, conf));
    if (keyring !== undefined) this.#check('option keyring', set('keyring', keyring));
    if (monitors !== undefined) this.#check('option mon_host', set('mon_host', monitors));
    for (const [option, value] of Object.entries(settings)) {
      const result = set(option, value);
      // An option that this release of Ceph does not have.
      if (result !== -ENOENT) this.#check(`option ${option}`, result);
    }
  }

  /** From memory: the header was read when it was opened. */
  async #described(image: number, pool: number): Promise<ImageHandle> {
    const [size, id] = [[0], Buffer.alloc(ID_BYTES)];
    try {
      this.#check('the size of the RBD image', this.#calls.size(image, size));
      this.#check('the id of the RBD image', this.#calls.id(image, id, id.length));
      return { image, pool, size: size[0] ?? 0, id: id.toString('latin1', 0, id.indexOf(0)) };
    } catch (error) {
      await this.close({ image, pool });
      throw error;
    }
  }

  #on(call: Call, ...values: unknown[]): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#calls[call].async(...values, (error: Error | null, result: number | bigint | undefined) => {
        if (error === null) resolve(Number(result ?? 0));
        else reject(error);
      });
    });
  }

  #check(
    what: string,
    result: number | bigint,
    code: 'connector_failed' | 'read_failed' = 'connector_failed',
  ): void {
    if (result < 0) throw new CinderfsError(code, `${what}: ${errnoName(this.#koffi, -Number(result))}`);
  }

  #whole(got: number, offset: number, length: number): void {
    if (got === length) return;
    this.#check(`librbd could not read ${length} bytes at ${offset}`, got, 'read_failed');
    throw new CinderfsError('read_failed', `the RBD image ends at ${offset + got}`);
  }
}
