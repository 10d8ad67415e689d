import { alignDown, alignUp } from '../alignment.js';
import { CinderfsError } from '../errors.js';
import {
  FLAG_FIXED_NEWSTYLE,
  FLAG_NO_ZEROES,
  INFO,
  META_CONTEXT,
  NBD_MAGIC,
  OPTION,
  OPTION_ERROR,
  OPTION_ERROR_UNSUPPORTED,
  OPTION_REPLY,
  encodeOption,
  prefixed,
  readUint64,
  uint16,
  uint32,
} from './protocol.js';

/**
 * A negotiation that does no I/O: it yields bytes to send, or how many bytes it wants from the server, which it is
 * resumed with. So that a thread that may block and one that may not negotiate alike.
 */
export type Handshake<Result> = Generator<Buffer | number, Result, Buffer>;

/** What was agreed. */
export interface Export {
  /** Bytes of the export; may exceed the image. */
  readonly size: number;
  /** Reads must begin and end at multiples of this. */
  readonly minimumBlock: number;
  readonly structured: boolean;
  /** Id of `base:allocation`; undefined when the server has no block status. */
  readonly allocationContext: number | undefined;
}

/** The smallest range that may be asked for and has [offset, offset + length) in it. `read_failed` behind the end. */
export function wholeBlocks(
  { size, minimumBlock }: Export,
  offset: number,
  length: number,
): { readonly from: number; readonly to: number } {
  const to = Math.min(alignUp(offset + length, minimumBlock), size);
  if (to < offset + length) throw new CinderfsError('read_failed', `the NBD export ends at ${size}`);
  return { from: alignDown(offset, minimumBlock), to };
}

export interface HandshakeOptions {
  /** Asks for structured replies, and with them for block status. */
  readonly structured: boolean;
}

/** What no server needs a tenth of: bytes of one reply to an option, and replies to one option. */
const MAX_REPLY_BYTES = 64 * 1024;
const MAX_REPLIES = 64;
/** The protocol's limits of the smallest block. */
const MAX_MINIMUM_BLOCK = 64 * 1024;

/** Fixed newstyle handshake up to the transmission phase. `read_failed` when the server will not export `name`. */
export function* negotiate(name: string, options: HandshakeOptions): Handshake<Export> {
  const greeting = yield 18;
  if (!greeting.subarray(0, 16).equals(NBD_MAGIC)) throw refused('does not speak NBD newstyle');
  const flags = greeting.readUInt16BE(16) & (FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES);
  yield uint32(flags);
  // Without fixed newstyle an unknown option would end the connection: the oldest way is the only one.
  if ((flags & FLAG_FIXED_NEWSTYLE) === 0) return yield* exportByName(name, flags);
  const structured = options.structured && (yield* structuredReplies());
  const allocationContext = structured ? yield* allocation(name) : undefined;
  const agreed = yield* go(name);
  if (agreed === undefined) return { ...(yield* exportByName(name, flags)), structured, allocationContext };
  return { ...agreed, structured, allocationContext };
}

function* structuredReplies(): Handshake<boolean> {
  yield encodeOption(OPTION.structuredReply);
  return (yield* optionReply(OPTION.structuredReply)).type === OPTION_REPLY.ack;
}

/** Asks for block status; a server without it refuses, which costs nothing but SEEK_HOLE. */
function* allocation(name: string): Handshake<number | undefined> {
  yield encodeOption(
    OPTION.setMetaContext,
    Buffer.concat([prefixed(name), uint32(1), prefixed(META_CONTEXT)]),
  );
  let context: number | undefined;
  for (let replies = 0; replies < MAX_REPLIES; replies += 1) {
    const { type, data } = yield* optionReply(OPTION.setMetaContext);
    if (type === OPTION_REPLY.ack || type >= OPTION_ERROR) return context;
    if (type === OPTION_REPLY.metaContext) context = whole(data, 4).readUInt32BE(0);
  }
  throw endless();
}

type Agreed = Pick<Export, 'size' | 'minimumBlock'>;

/** NBD_OPT_GO; undefined when the server does not know it. */
function* go(name: string): Handshake<Agreed | undefined> {
  yield encodeOption(OPTION.go, Buffer.concat([prefixed(name), uint16(1), uint16(INFO.blockSize)]));
  let size: number | undefined;
  let minimumBlock = 1;
  for (let replies = 0; replies < MAX_REPLIES; replies += 1) {
    const { type, data } = yield* optionReply(OPTION.go);
    if (type === OPTION_REPLY.ack) return { size: told(size, name), minimumBlock: minimumOf(minimumBlock) };
    if (type === OPTION_ERROR_UNSUPPORTED) return undefined;
    if (type >= OPTION_ERROR)
      throw refused(`refused export "${name}": ${data.toString() || `error ${type}`}`);
    const info = type === OPTION_REPLY.info ? whole(data, 2).readUInt16BE(0) : undefined;
    if (info === INFO.export) size = readUint64(whole(data, 10), 2);
    if (info === INFO.blockSize) minimumBlock = whole(data, 6).readUInt32BE(2);
  }
  throw endless();
}

function told(size: number | undefined, name: string): number {
  if (size === undefined) throw refused(`did not tell the size of export "${name}"`);
  return size;
}

function minimumOf(bytes: number): number {
  if (bytes >= 1 && bytes <= MAX_MINIMUM_BLOCK && (bytes & (bytes - 1)) === 0) return bytes;
  throw refused(`wants reads in blocks of ${bytes} bytes`);
}

/** NBD_OPT_EXPORT_NAME: answered with size and flags, or by hanging up. */
function* exportByName(name: string, flags: number): Handshake<Export> {
  yield encodeOption(OPTION.exportName, Buffer.from(name));
  const padding = (flags & FLAG_NO_ZEROES) === 0 ? 124 : 0;
  const answer = yield 10 + padding;
  return { size: readUint64(answer, 0), minimumBlock: 1, structured: false, allocationContext: undefined };
}

function* optionReply(option: number): Handshake<{ type: number; data: Buffer }> {
  const head = yield 20;
  if (head.readUInt32BE(8) !== option)
    throw refused(`answered option ${head.readUInt32BE(8)}, not ${option}`);
  const length = head.readUInt32BE(16);
  if (length > MAX_REPLY_BYTES) throw refused(`answered option ${option} with ${length} bytes`);
  return { type: head.readUInt32BE(12), data: yield length };
}

function whole(data: Buffer, bytes: number): Buffer {
  if (data.length >= bytes) return data;
  throw refused(`cut an answer short: ${data.length} bytes of ${bytes}`);
}

function endless(): CinderfsError {
  return refused(`gave more than ${MAX_REPLIES} answers to one option`);
}

function refused(why: string): CinderfsError {
  return new CinderfsError('read_failed', `the NBD server ${why}`);
}
