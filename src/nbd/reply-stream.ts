/**
 * Takes the server's bytes apart. Pure but for the buffers it fills: `target` says where the next bytes belong and
 * `accept` what arrived there, so that image data goes from the socket straight into its block, never through a copy.
 */
import type { Pending } from './pending.js';
import {
  CHUNK,
  CHUNK_DONE,
  CHUNK_ERROR,
  REPLY_MAGIC,
  STATE_HOLE,
  STRUCTURED_REPLY_MAGIC,
  readUint64,
} from './protocol.js';

/** Requests by cookie; a finished one is taken out. */
export type PendingTable = Map<number, Pending>;

/** Small replies are read many at a time into this. */
const SCRATCH_BYTES = 64 << 10;
/** From this request size on, headers are read alone, so that the data behind them goes to its place directly. */
const LARGE_REQUEST = 32 << 10;
/** Header of a structured data chunk with its offset. */
const DATA_HEAD = 28;
const SIMPLE_HEAD = 16;
const CHUNK_HEAD = 20;

/** Data of `request` still to come, from byte `at` of the request on. */
interface Payload {
  readonly request: Pending;
  readonly cookie: number;
  at: number;
  left: number;
  readonly last: boolean;
}

export class ReplyStream {
  readonly #pending: PendingTable;
  readonly #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  /** Bytes of the scratch that hold what was read and not yet understood. */
  #start = 0;
  #end = 0;
  #payload: Payload | undefined;

  constructor(pending: PendingTable) {
    this.#pending = pending;
  }

  /** Where the next bytes from the socket go. Never empty. */
  get target(): Buffer {
    if (this.#payload !== undefined)
      return this.#payload.request.window(this.#payload.at, this.#payload.left);
    this.#compact();
    const [oldest] = this.#pending.values();
    const large = oldest !== undefined && oldest.length >= LARGE_REQUEST && this.#end < DATA_HEAD;
    return this.#scratch.subarray(this.#end, large ? DATA_HEAD : SCRATCH_BYTES);
  }

  /** `length` bytes have arrived at the start of `target`. Throws when they make no sense. */
  accept(length: number): void {
    if (this.#payload !== undefined) {
      this.#advance(this.#payload, length);
      return;
    }
    this.#end += length;
    while (this.#understand());
  }

  #compact(): void {
    this.#scratch.copyWithin(0, this.#start, this.#end);
    this.#end -= this.#start;
    this.#start = 0;
  }

  /** Takes one whole thing off the scratch; false when more bytes are needed first. */
  #understand(): boolean {
    if (this.#payload !== undefined) return this.#fromScratch(this.#payload);
    const have = this.#end - this.#start;
    if (have < SIMPLE_HEAD) return false;
    const magic = this.#scratch.readUInt32BE(this.#start);
    if (magic === REPLY_MAGIC) return this.#simpleReply();
    if (magic === STRUCTURED_REPLY_MAGIC) return have >= CHUNK_HEAD && this.#chunk(have);
    throw new Error(`the NBD server sent 0x${magic.toString(16)} where a reply should begin`);
  }

  #simpleReply(): boolean {
    const error = this.#scratch.readUInt32BE(this.#start + 4);
    const { request, cookie } = this.#requestAt(this.#start + 8);
    this.#start += SIMPLE_HEAD;
    request.fail(error);
    if (error === 0 && request.isRead) this.#expect(request, cookie, 0, request.length, true);
    else this.#finish(request, cookie);
    return true;
  }

  #chunk(have: number): boolean {
    const at = this.#start;
    const flags = this.#scratch.readUInt16BE(at + 4);
    const type = this.#scratch.readUInt16BE(at + 6);
    const length = this.#scratch.readUInt32BE(at + 16);
    // Only the data of a data chunk may be longer than the scratch; all else is awaited whole.
    const needed = type === CHUNK.data ? DATA_HEAD : CHUNK_HEAD + length;
    if (needed > SCRATCH_BYTES) throw new Error(`the NBD server sent a chunk of ${length} bytes`);
    if (have < needed) return false;
    const { request, cookie } = this.#requestAt(at + 8);
    const body = this.#scratch.subarray(at + CHUNK_HEAD, at + needed);
    this.#start += needed;
    const last = (flags & CHUNK_DONE) !== 0;
    if (type === CHUNK.data) {
      this.#expect(request, cookie, readUint64(body, 0) - request.offset, length - 8, last);
      return true;
    }
    digest(request, type, body);
    if (last) this.#finish(request, cookie);
    return true;
  }

  #expect(request: Pending, cookie: number, at: number, left: number, last: boolean): void {
    checkRange(request, at, left);
    this.#payload = { request, cookie, at, left, last };
  }

  /** Data that was read along with its header. */
  #fromScratch(payload: Payload): boolean {
    const have = this.#end - this.#start;
    if (have === 0) return false;
    const window = payload.request.window(payload.at, Math.min(payload.left, have));
    this.#scratch.copy(window, 0, this.#start, this.#start + window.length);
    this.#start += window.length;
    this.#advance(payload, window.length);
    return true;
  }

  #advance(payload: Payload, length: number): void {
    payload.at += length;
    payload.left -= length;
    payload.request.cover(length);
    if (payload.left > 0) return;
    this.#payload = undefined;
    if (payload.last) this.#finish(payload.request, payload.cookie);
  }

  #finish(request: Pending, cookie: number): void {
    this.#pending.delete(cookie);
    request.finish();
  }

  #requestAt(position: number): { request: Pending; cookie: number } {
    const cookie = readUint64(this.#scratch, position);
    const request = this.#pending.get(cookie);
    if (request === undefined)
      throw new Error(`the NBD server answered request ${cookie}, which was not asked`);
    return { request, cookie };
  }
}

/** A chunk without image data. Unknown kinds are ignored, unknown errors are errors. */
function digest(request: Pending, type: number, body: Buffer): void {
  if ((type & CHUNK_ERROR) !== 0) {
    request.fail(whole(body, 4).readUInt32BE(0) || 5);
  } else if (type === CHUNK.hole) {
    const at = readUint64(whole(body, 12), 0) - request.offset;
    checkRange(request, at, body.readUInt32BE(8));
    request.zero(at, body.readUInt32BE(8));
  } else if (type === CHUNK.blockStatus) {
    request.extents = Array.from({ length: (body.length - 4) / 8 }, (_, index) => ({
      length: body.readUInt32BE(4 + index * 8),
      hole: (body.readUInt32BE(8 + index * 8) & STATE_HOLE) !== 0,
    }));
  }
}

function whole(body: Buffer, bytes: number): Buffer {
  if (body.length >= bytes) return body;
  throw new Error(`the NBD server cut a chunk short: ${body.length} bytes of ${bytes}`);
}

function checkRange(request: Pending, at: number, length: number): void {
  const inside = request.isRead && at >= 0 && length > 0 && at + length <= request.length;
  if (inside && request.ranges.add(at, at + length)) return;
  throw new Error(`the NBD server sent ${length} bytes at ${at} of a request for ${request.length}`);
}
