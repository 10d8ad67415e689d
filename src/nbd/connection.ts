import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { Clock } from '../async/clock.js';
import { CinderfsError, reasonOf } from '../errors.js';
import { ByteQueue } from './byte-queue.js';
import { negotiate, wholeBlocks } from './handshake.js';
import type { Export } from './handshake.js';
import { ConnectionLost, Pending } from './pending.js';
import type { Extent } from './pending.js';
import { COMMAND, encodeRequest } from './protocol.js';
import { ReplyStream } from './reply-stream.js';
import type { PendingTable } from './reply-stream.js';

/** Where an export is: a unix socket of this host, and the export's name there. */
export interface ExportAddress {
  readonly socket: string;
  readonly exportName: string;
}

export interface ConnectionOptions {
  readonly clock: Clock;
  /** Milliseconds to connect and negotiate: a server may accept and then say nothing. */
  readonly handshakeMs: number;
  /**
   * Milliseconds a request may stay unanswered before the connection is given up with all its requests; absent where
   * every request has a deadline of its own, and the end of the connection means the end of the server.
   */
  readonly requestMs?: number | undefined;
}

const NOTHING = Buffer.alloc(0);

/**
 * One connection to an export, many requests in flight. Lost once it is lost: the client opens another. It keeps the
 * process alive only while it waits for an answer.
 */
export class NbdConnection {
  /** Settles when the connection has ended, by either side. Never rejects. */
  readonly ended: Promise<void>;
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #requestMs: number | undefined;
  readonly #pending: PendingTable = new Map();
  readonly #replies = new ReplyStream(this.#pending);
  readonly #greeting = new ByteQueue();
  #agreed: Export | undefined;
  #lost: Error | undefined;
  #cookie = 0;
  #stopWatch: (() => void) | undefined;
  #noteEnd: () => void = () => undefined;

  /** Connects and negotiates; `ConnectionLost` when no server answers there, `read_failed` when the export is refused. */
  static async open(address: ExportAddress, options: ConnectionOptions): Promise<NbdConnection> {
    const connection = new NbdConnection(address, options);
    const stop = options.clock.after(options.handshakeMs, () =>
      connection.#lose(new ConnectionLost(`no NBD handshake within ${options.handshakeMs} ms`)),
    );
    try {
      connection.#agreed = await connection.#negotiate(address.exportName);
      connection.#socket.unref();
      return connection;
    } catch (error) {
      connection.#lose(new ConnectionLost('the NBD handshake failed'));
      throw error;
    } finally {
      stop();
    }
  }

  private constructor({ socket }: ExportAddress, { clock, requestMs }: ConnectionOptions) {
    this.#clock = clock;
    this.#requestMs = requestMs;
    this.ended = new Promise((resolve) => (this.#noteEnd = resolve));
    this.#socket = connect({
      path: socket,
      onread: { buffer: () => this.#nextTarget(), callback: (length, bytes) => this.#arrived(length, bytes) },
    });
    this.#socket.on('error', (error) => this.#lose(new ConnectionLost(reasonOf(error), { cause: error })));
    this.#socket.on('close', () => this.#lose(new ConnectionLost('the NBD server hung up')));
  }

  /** What was agreed in the handshake. */
  get export(): Export {
    if (this.#agreed === undefined) throw new Error('not negotiated');
    return this.#agreed;
  }

  get lost(): boolean {
    return this.#lost !== undefined;
  }

  /** Requests in flight. */
  get load(): number {
    return this.#pending.size;
  }

  /** Fills `buffers` (all but the last of one size), one after the other, from `offset` on. */
  async read(offset: number, buffers: readonly Buffer[]): Promise<void> {
    const length = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    await this.#request(COMMAND.read, new Pending(offset, length, buffers, this.#clock.now()));
  }

  /** Exactly [offset, offset + length), in memory of its own; whole blocks of the export are asked for. */
  async readBytes(offset: number, length: number): Promise<Buffer> {
    const { from, to } = wholeBlocks(this.export, offset, length);
    if (from === to) return NOTHING;
    const memory = Buffer.alloc(to - from);
    await this.read(from, [memory]);
    return memory.subarray(offset - from, offset - from + length);
  }

  /** The states of a range, from `offset` on; they may end before or after `length`. */
  async blockStatus(offset: number, length: number): Promise<readonly Extent[]> {
    const pending = new Pending(offset, length, [], this.#clock.now());
    await this.#request(COMMAND.blockStatus, pending);
    return pending.extents;
  }

  /** Says goodbye. Requests in flight are lost. */
  close(): void {
    if (this.#lost === undefined) {
      this.#socket.write(encodeRequest({ command: COMMAND.disconnect, cookie: 0, offset: 0, length: 0 }));
    }
    this.#lose(new ConnectionLost('closed'));
  }

  async #negotiate(exportName: string): Promise<Export> {
    const handshake = negotiate(exportName, { structured: true });
    for (let step = handshake.next(); ;) {
      if (step.done === true) return this.#quiet(step.value);
      if (typeof step.value === 'number') step = handshake.next(await this.#greeting.take(step.value));
      else {
        this.#socket.write(step.value);
        step = handshake.next(NOTHING);
      }
    }
  }

  /** A server that goes on before it is asked would have its bytes taken for the answers to come. */
  #quiet(agreed: Export): Export {
    if (this.#greeting.left === 0) return agreed;
    throw new CinderfsError('read_failed', 'the NBD server sent bytes that were not asked for');
  }

  async #request(command: number, pending: Pending): Promise<void> {
    if (this.#lost !== undefined) throw this.#lost;
    const cookie = this.#nextCookie();
    this.#pending.set(cookie, pending);
    this.#socket.write(encodeRequest({ command, cookie, offset: pending.offset, length: pending.length }));
    this.#socket.ref();
    this.#watch();
    try {
      await pending.answered;
    } finally {
      if (this.#pending.size === 0) this.#socket.unref();
    }
  }

  #nextCookie(): number {
    do this.#cookie = (this.#cookie + 1) % 2 ** 32;
    while (this.#pending.has(this.#cookie));
    return this.#cookie;
  }

  #nextTarget(): Buffer {
    return this.#replies.target;
  }

  /** Node's onread callback: false stops reading. */
  #arrived(length: number, bytes: Uint8Array): boolean {
    if (this.#lost !== undefined) return false;
    if (this.#agreed === undefined) {
      this.#greeting.push(Buffer.from(bytes.subarray(0, length)));
      return true;
    }
    try {
      this.#replies.accept(length);
    } catch (error) {
      this.#lose(CinderfsError.from(error, 'read_failed'));
    }
    return true;
  }

  /** One timer for the oldest request: a server that has stopped (SIGSTOP, a dead backend) keeps no memory of ours. */
  #watch(): void {
    const ms = this.#requestMs;
    const [oldest] = this.#pending.values();
    if (ms === undefined || oldest === undefined || this.#stopWatch !== undefined) return;
    this.#stopWatch = this.#clock.after(Math.max(1, oldest.since + ms - this.#clock.now()), () => {
      this.#stopWatch = undefined;
      if (this.#oldestIsOverdue(ms)) this.#lose(unanswered(ms));
      else this.#watch();
    });
  }

  #oldestIsOverdue(ms: number): boolean {
    const [oldest] = this.#pending.values();
    return oldest !== undefined && this.#clock.now() - oldest.since >= ms;
  }

  /** The first reason counts: it goes to all present and later callers. */
  #lose(error: Error): void {
    if (this.#lost !== undefined) return;
    this.#lost = error;
    this.#stopWatch?.();
    this.#greeting.end(error);
    this.#socket.destroy();
    for (const pending of this.#pending.values()) pending.abandon(error);
    this.#pending.clear();
    this.#noteEnd();
  }
}

function unanswered(ms: number): CinderfsError {
  return new CinderfsError('read_timeout', `the NBD server did not answer within ${ms} ms`);
}
