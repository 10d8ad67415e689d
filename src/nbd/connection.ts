import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { NbdSource } from '../sources/source.js';
import type { Clock } from '../async/clock.js';
import { CinderfsError, reasonOf } from '../errors.js';
import { ByteQueue } from './byte-queue.js';
import { negotiate } from './handshake.js';
import type { Export } from './handshake.js';
import { ConnectionLost, Pending } from './pending.js';
import type { Extent } from './pending.js';
import { COMMAND, encodeRequest } from './protocol.js';
import { ReplyStream } from './reply-stream.js';
import type { PendingTable } from './reply-stream.js';

export interface ConnectionOptions {
  readonly clock: Clock;
  /** Milliseconds for the handshake. */
  readonly handshakeMs: number;
  /** Milliseconds a request may stay unanswered before the connection is given up with all its requests. */
  readonly requestMs: number;
}

const NOTHING = Buffer.alloc(0);

/** One connection to an export, many requests in flight. Lost once it is lost: the client opens another. */
export class NbdConnection {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #requestMs: number;
  readonly #pending: PendingTable = new Map();
  readonly #replies = new ReplyStream(this.#pending);
  readonly #greeting = new ByteQueue();
  #agreed: Export | undefined;
  #lost: Error | undefined;
  #cookie = 0;
  #stopWatch: (() => void) | undefined;

  /** Connects and negotiates; `ConnectionLost` when nobody answers there, `read_failed` when the export is refused. */
  static async open(source: NbdSource, options: ConnectionOptions): Promise<NbdConnection> {
    const connection = new NbdConnection(source, options);
    const stop = options.clock.after(options.handshakeMs, () =>
      connection.#lose(new ConnectionLost(`no NBD handshake within ${options.handshakeMs} ms`)),
    );
    try {
      connection.#agreed = await connection.#negotiate(source.exportName);
      return connection;
    } catch (error) {
      connection.#lose(new ConnectionLost('the NBD handshake failed'));
      throw error;
    } finally {
      stop();
    }
  }

  private constructor(source: NbdSource, { clock, requestMs }: ConnectionOptions) {
    this.#clock = clock;
    this.#requestMs = requestMs;
    this.#socket = connect({
      path: source.socket,
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
      if (step.done === true) return step.value;
      if (typeof step.value === 'number') step = handshake.next(await this.#greeting.take(step.value));
      else {
        this.#socket.write(step.value);
        step = handshake.next(NOTHING);
      }
    }
  }

  async #request(command: number, pending: Pending): Promise<void> {
    if (this.#lost !== undefined) throw this.#lost;
    const cookie = this.#nextCookie();
    this.#pending.set(cookie, pending);
    this.#socket.write(encodeRequest({ command, cookie, offset: pending.offset, length: pending.length }));
    this.#watch();
    await pending.answered;
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
    if (this.#stopWatch !== undefined) return;
    const [oldest] = this.#pending.values();
    if (oldest === undefined) return;
    const left = oldest.since + this.#requestMs - this.#clock.now();
    this.#stopWatch = this.#clock.after(Math.max(1, left), () => {
      this.#stopWatch = undefined;
      if (this.#pending.size > 0 && this.#oldestIsOverdue()) this.#lose(this.#unanswered());
      else this.#watch();
    });
  }

  #oldestIsOverdue(): boolean {
    const [oldest] = this.#pending.values();
    return oldest !== undefined && this.#clock.now() - oldest.since >= this.#requestMs;
  }

  #unanswered(): CinderfsError {
    return new CinderfsError('read_timeout', `the NBD server did not answer within ${this.#requestMs} ms`);
  }

  /** The first reason counts: it goes to everyone who waits and everyone who comes later. */
  #lose(error: Error): void {
    if (this.#lost !== undefined) return;
    this.#lost = error;
    this.#stopWatch?.();
    this.#greeting.end(error);
    this.#socket.destroy();
    for (const pending of this.#pending.values()) pending.abandon(error);
    this.#pending.clear();
  }
}
