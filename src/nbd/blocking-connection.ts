import { readSync, writeSync } from 'node:fs';
import { CinderfsError } from '../errors.js';
import type { Export } from './handshake.js';
import { negotiate, wholeBlocks } from './handshake.js';
import { ConnectionLost } from './pending.js';
import { COMMAND, REPLY_MAGIC, encodeRequest, errorName } from './protocol.js';

/** Bytes of a simple reply before its data. */
export const REPLY_HEADER = 16;
const MAGIC = 0;
const ERROR = 4;
const COOKIE = 12;

/**
 * A connection to an export for a thread that may block: one request at a time, answered with simple replies, whose
 * data the kernel puts where it is wanted. It holds no descriptor of its own; the maker of the socket closes it.
 */
export class BlockingConnection {
  readonly #socket: number;
  readonly #export: Export;
  #cookie = 0;

  /**
   * Negotiates on `socket`, a connected blocking stream socket.
   *
   * @throws ConnectionLost when the server hangs up, CinderfsError `read_failed` when it refuses the export.
   */
  constructor(socket: number, exportName: string) {
    this.#socket = socket;
    const handshake = negotiate(exportName, { structured: false });
    let step = handshake.next();
    while (step.done !== true) {
      const answer = typeof step.value === 'number' ? take(socket, step.value) : send(socket, step.value);
      step = handshake.next(answer);
    }
    this.#export = step.value;
  }

  /** Reads begin and end at multiples of this. */
  get alignment(): number {
    return this.#export.minimumBlock;
  }

  /**
   * Reads [offset, offset + length) into `memory` and returns where it starts there: at `at`, or behind it by as much
   * as `offset` had to be rounded down. The REPLY_HEADER bytes before `at` are overwritten; behind the data there
   * must be room for `alignment` bytes.
   *
   * @throws ConnectionLost after which the connection is of no use, CinderfsError `read_failed` when the server
   * could not read.
   */
  read(memory: Buffer, at: number, offset: number, length: number): number {
    const { from, to } = wholeBlocks(this.#export, offset, length);
    this.#cookie = (this.#cookie + 1) % 2 ** 32;
    send(
      this.#socket,
      encodeRequest({ command: COMMAND.read, cookie: this.#cookie, offset: from, length: to - from }),
    );
    this.#receive(memory, at - REPLY_HEADER, to - from);
    return at + (offset - from);
  }

  /** Header and data of one reply, in as few calls as the kernel allows. An error has no data. */
  #receive(memory: Buffer, at: number, length: number): void {
    let got = 0;
    while (got < REPLY_HEADER) got += receive(this.#socket, memory, at + got, REPLY_HEADER + length - got);
    if (memory.readUInt32BE(at + MAGIC) !== REPLY_MAGIC || memory.readUInt32BE(at + COOKIE) !== this.#cookie)
      throw new ConnectionLost('the NBD server sent no reply to this request');
    const error = memory.readUInt32BE(at + ERROR);
    if (error !== 0)
      throw new CinderfsError('read_failed', `the NBD server could not read: ${errorName(error)}`);
    while (got < REPLY_HEADER + length)
      got += receive(this.#socket, memory, at + got, REPLY_HEADER + length - got);
  }
}

const NOTHING = Buffer.alloc(0);

function send(socket: number, bytes: Buffer): Buffer {
  for (let sent = 0; sent < bytes.length;) sent += writeSync(socket, bytes, sent);
  return NOTHING;
}

function take(socket: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let got = 0; got < length;) got += receive(socket, bytes, got, length - got);
  return bytes;
}

function receive(socket: number, memory: Buffer, at: number, length: number): number {
  const got = readSync(socket, memory, at, length, null);
  if (got === 0) throw new ConnectionLost('the NBD server hung up');
  return got;
}
