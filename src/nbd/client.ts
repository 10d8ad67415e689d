/**
 * An NBD export over several connections: requests spread, lost connections replaced, reads sent again.
 *
 * NBD cannot cancel a request, and blocks are read for many readers at once: so nothing here takes a signal, every
 * wait has a bound of its own, and readers leave on their own deadlines.
 */
import type { BackoffPolicy } from '../async/backoff.js';
import { backoffDelay } from '../async/backoff.js';
import type { Clock } from '../async/clock.js';
import { sleep } from '../async/clock.js';
import { SingleFlight } from '../async/single-flight.js';
import { CinderfsError, reasonOf } from '../errors.js';
import { type ExportAddress, NbdConnection } from './connection.js';
import type { Export } from './handshake.js';
import { ConnectionLost } from './pending.js';
import type { Extent } from './pending.js';

export interface NbdClientOptions {
  readonly clock: Clock;
  /** Milliseconds a request may stay unanswered before its connection is given up. */
  readonly requestMs: number;
  readonly connections: number;
}

/** Milliseconds for one handshake: the server is on this host. */
const HANDSHAKE_MS = 5_000;
/** Milliseconds a server may be away (restarting) before its readers get EIO. */
const ABSENCE_MS = 5_000;
const RECONNECT: BackoffPolicy = { baseMs: 20, capMs: 500 };
/** Times one read is sent again when its connection is lost under it. */
const RESENDS = 3;

export class NbdClient {
  readonly #address: ExportAddress;
  readonly #options: NbdClientOptions;
  readonly #connecting = new SingleFlight<'first' | 'more', NbdConnection>();
  #open: NbdConnection[] = [];
  #wanted: number;
  #closed = false;
  /** The server was away for longer than a restart takes. */
  broken = false;

  /** Connects once, so that a server that is not there, or exports too little, fails the open and not a read. */
  static async open(address: ExportAddress, options: NbdClientOptions): Promise<NbdClient> {
    const client = new NbdClient(address, options);
    await client.#connect().catch((error: unknown) => {
      throw client.#away(error);
    });
    return client;
  }

  private constructor(address: ExportAddress, options: NbdClientOptions) {
    this.#address = address;
    this.#options = options;
    this.#wanted = options.connections;
  }

  /** As the newest connection agreed it. */
  get export(): Export | undefined {
    return this.#open.at(-1)?.export;
  }

  /** Fills `buffers` (all but the last of one size), one after the other, from `offset` on. */
  async read(offset: number, buffers: readonly Buffer[]): Promise<void> {
    await this.#persistently((connection) => connection.read(offset, buffers));
  }

  /** The states of a range; undefined when the server does not tell. */
  async blockStatus(offset: number, length: number): Promise<readonly Extent[] | undefined> {
    return this.#persistently(async (connection) =>
      connection.export.allocationContext === undefined ? undefined : connection.blockStatus(offset, length),
    );
  }

  close(): void {
    this.#closed = true;
    for (const connection of this.#open) connection.close();
    this.#open = [];
  }

  async #persistently<T>(ask: (connection: NbdConnection) => Promise<T>): Promise<T> {
    for (let resends = 0; ; resends += 1) {
      // Chosen and loaded in one step: reads of one burst must see each other's load.
      const connection = this.#leastBusy() ?? (await this.#connecting.run('first', () => this.#reconnect()));
      try {
        return await ask(connection);
      } catch (error) {
        if (!(error instanceof ConnectionLost)) throw error;
        if (resends >= RESENDS || this.#closed) throw this.#away(error);
      }
    }
  }

  /** The least busy connection, if there is any. While all are busy, one more is opened on the side. */
  #leastBusy(): NbdConnection | undefined {
    this.#open = this.#open.filter(({ lost }) => !lost);
    let least = this.#open[0];
    for (const connection of this.#open) if (connection.load < (least?.load ?? 0)) least = connection;
    if (least !== undefined && least.load > 0 && this.#open.length < this.#wanted) this.#addConnection();
    return least;
  }

  /** A server may take fewer connections than we want (qemu-nbd --shared=1): what there is has to do then. */
  #addConnection(): void {
    this.#connecting
      .run('more', () => this.#connect())
      .catch(() => (this.#wanted = Math.max(1, this.#open.length)));
  }

  /** Tries for as long as a restart of the server may take. */
  async #reconnect(): Promise<NbdConnection> {
    const { clock } = this.#options;
    const since = clock.now();
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.#connect();
      } catch (error) {
        if (!(error instanceof ConnectionLost) || clock.now() - since > ABSENCE_MS) throw this.#away(error);
        await sleep(clock, backoffDelay(RECONNECT, attempt));
      }
    }
  }

  async #connect(): Promise<NbdConnection> {
    const { clock, requestMs } = this.#options;
    const handshakeMs = Math.min(HANDSHAKE_MS, requestMs);
    const connection = await NbdConnection.open(this.#address, { clock, handshakeMs, requestMs });
    if (this.#closed) connection.close();
    else this.#open.push(connection);
    this.broken = false;
    return connection;
  }

  #away(error: unknown): CinderfsError {
    if (CinderfsError.is(error)) return error;
    this.broken = true;
    return new CinderfsError(
      'read_failed',
      `the NBD server at ${this.#address.socket} is away: ${reasonOf(error)}`,
      {
        cause: error,
      },
    );
  }
}
