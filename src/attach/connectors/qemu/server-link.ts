import type { Clock } from '../../../async/clock.js';
import { CinderfsError, reasonOf } from '../../../errors.js';
import { NbdConnection } from '../../../nbd/connection.js';
import type { NbdSource } from '../../../sources/nbd/nbd-source.js';

/** Milliseconds to connect and negotiate. */
export interface Patience {
  readonly clock: Clock;
  readonly ms: number;
}

/**
 * Our own connection to a qemu-nbd: it proves what is exported, and notices the end of the server. A request has no
 * deadline here: a backend that is slow is no server that has ended, and callers bring their own.
 */
export class ServerLink {
  readonly #connection: NbdConnection;

  private constructor(connection: NbdConnection) {
    this.#connection = connection;
  }

  /** Negotiates; rejects with `connector_failed`, also when the server accepts and then says nothing. */
  static async open(source: NbdSource, { clock, ms }: Patience): Promise<ServerLink> {
    return new ServerLink(await failing(NbdConnection.open(source, { clock, handshakeMs: ms })));
  }

  /** Bytes of the export. */
  get size(): number {
    return this.#connection.export.size;
  }

  /** Settles when the connection has ended, by either side. Never rejects. */
  get ended(): Promise<void> {
    return this.#connection.ended;
  }

  /** Exactly `length` bytes from `offset`; rejects with `connector_failed`. */
  read(offset: number, length: number): Promise<Buffer> {
    return failing(this.#connection.readBytes(offset, length));
  }

  close(): void {
    this.#connection.close();
  }
}

/** What went wrong between us and our own server is a failure of the connector: no reader has met it. */
async function failing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new CinderfsError('connector_failed', `NBD: ${reasonOf(error)}`, { cause: error });
  }
}
