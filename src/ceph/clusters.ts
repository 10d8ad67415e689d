import { Slots } from '../async/slots.js';
import type { ClusterAddress } from './address.js';
import type { CephLibrary } from './library.js';

/** A connection to a cluster as one user, shared by all images of it. */
export interface Cluster {
  readonly handle: number;
  /** For calls on pool threads: a cluster that hangs can hold these and no more. */
  readonly slots: Slots;
  /** Gives this share back; the last one ends the connection. Idempotent; resolves when that is done. */
  release(): Promise<void>;
}

interface Entry {
  readonly connecting: Promise<number>;
  readonly slots: Slots;
  shares: number;
}

/**
 * What we are to librados. Its own cache would keep a second time what the page cache has; its default deadlines are
 * for ever. Callers are threads that may block, so a read starts on its caller's: one thread less to wake up. What
 * orders writes is not needed. Fewer threads, no log and no socket of its own.
 */
const SETTINGS = {
  rbd_cache: 'false',
  librados_thread_count: '1',
  ms_async_op_threads: '1',
  rbd_op_threads: '1',
  rbd_non_blocking_aio: 'false',
  rbd_io_scheduler: 'none',
  log_file: '',
  log_to_stderr: 'false',
  err_to_stderr: 'false',
  admin_socket: '',
};

export class Clusters {
  readonly #library: CephLibrary;
  readonly #settings: Readonly<Record<string, string>>;
  readonly #slots: number;
  readonly #entries = new Map<string, Entry>();

  constructor(library: CephLibrary, { timeoutMs, slots }: { timeoutMs: number; slots: number }) {
    const seconds = String(Math.ceil(timeoutMs / 1000));
    this.#library = library;
    this.#slots = slots;
    this.#settings = {
      ...SETTINGS,
      client_mount_timeout: seconds,
      rados_mon_op_timeout: seconds,
      rados_osd_op_timeout: seconds,
    };
  }

  /** Joins the connection there is, or makes it. One that failed is forgotten: the next caller tries again. */
  async join({ cluster, user, conf, keyring, monitors }: ClusterAddress): Promise<Cluster> {
    const address = { cluster, user, conf, keyring, monitors };
    const key = JSON.stringify(address);
    const entry = this.#entries.get(key) ?? this.#connect(address);
    this.#entries.set(key, entry);
    entry.shares += 1;
    try {
      const handle = await entry.connecting;
      return { handle, slots: entry.slots, release: once(() => this.#leave(key, entry, handle)) };
    } catch (error) {
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
      throw error;
    }
  }

  #connect(address: ClusterAddress): Entry {
    const slots = new Slots(this.#slots);
    return { connecting: this.#library.connect(address, this.#settings), slots, shares: 0 };
  }

  async #leave(key: string, entry: Entry, handle: number): Promise<void> {
    entry.shares -= 1;
    if (entry.shares > 0) return;
    if (this.#entries.get(key) === entry) this.#entries.delete(key);
    await this.#library.disconnect(handle);
  }
}

/** Calls `work` at the first call only; later ones get the same answer. */
function once<T>(work: () => T): () => T {
  let done: { readonly answer: T } | undefined;
  return () => (done ??= { answer: work() }).answer;
}
