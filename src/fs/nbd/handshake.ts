import { CinderfsError } from '../../errors.js';
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

/** Both directions of a connection while it is negotiated. */
export interface Wire {
  write(bytes: Buffer): void;
  /** The next `length` bytes from the server. */
  take(length: number): Promise<Buffer>;
}

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

/** Fixed newstyle handshake up to the transmission phase. `read_failed` when the server will not export `name`. */
export async function negotiate(wire: Wire, name: string): Promise<Export> {
  const greeting = await wire.take(18);
  if (!greeting.subarray(0, 16).equals(NBD_MAGIC)) throw refused('does not speak NBD newstyle');
  const flags = greeting.readUInt16BE(16) & (FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES);
  wire.write(uint32(flags));
  // Without fixed newstyle an unknown option would end the connection: the oldest way is the only one.
  if ((flags & FLAG_FIXED_NEWSTYLE) === 0) return exportByName(wire, name, flags);
  const structured = await structuredReplies(wire);
  const allocationContext = structured ? await allocation(wire, name) : undefined;
  const agreed = await go(wire, name);
  if (agreed === undefined)
    return { ...(await exportByName(wire, name, flags)), structured, allocationContext };
  return { ...agreed, structured, allocationContext };
}

async function structuredReplies(wire: Wire): Promise<boolean> {
  wire.write(encodeOption(OPTION.structuredReply));
  return (await optionReply(wire, OPTION.structuredReply)).type === OPTION_REPLY.ack;
}

/** Asks for block status; a server without it refuses, which costs nothing but SEEK_HOLE. */
async function allocation(wire: Wire, name: string): Promise<number | undefined> {
  wire.write(
    encodeOption(OPTION.setMetaContext, Buffer.concat([prefixed(name), uint32(1), prefixed(META_CONTEXT)])),
  );
  let context: number | undefined;
  for (;;) {
    const { type, data } = await optionReply(wire, OPTION.setMetaContext);
    if (type === OPTION_REPLY.ack || type >= OPTION_ERROR) return context;
    if (type === OPTION_REPLY.metaContext) context = data.readUInt32BE(0);
  }
}

type Agreed = Pick<Export, 'size' | 'minimumBlock'>;

/** NBD_OPT_GO; undefined when the server does not know it. */
async function go(wire: Wire, name: string): Promise<Agreed | undefined> {
  wire.write(encodeOption(OPTION.go, Buffer.concat([prefixed(name), uint16(1), uint16(INFO.blockSize)])));
  let size = 0;
  let minimumBlock = 1;
  for (;;) {
    const { type, data } = await optionReply(wire, OPTION.go);
    if (type === OPTION_REPLY.ack) return { size, minimumBlock };
    if (type === OPTION_ERROR_UNSUPPORTED) return undefined;
    if (type >= OPTION_ERROR)
      throw refused(`refused export "${name}": ${data.toString() || `error ${type}`}`);
    const info = type === OPTION_REPLY.info ? data.readUInt16BE(0) : undefined;
    if (info === INFO.export) size = readUint64(data, 2);
    if (info === INFO.blockSize) minimumBlock = data.readUInt32BE(2);
  }
}

/** NBD_OPT_EXPORT_NAME: answered with size and flags, or by hanging up. */
async function exportByName(wire: Wire, name: string, flags: number): Promise<Export> {
  wire.write(encodeOption(OPTION.exportName, Buffer.from(name)));
  const padding = (flags & FLAG_NO_ZEROES) === 0 ? 124 : 0;
  const answer = await wire.take(10 + padding);
  return { size: readUint64(answer, 0), minimumBlock: 1, structured: false, allocationContext: undefined };
}

async function optionReply(wire: Wire, option: number): Promise<{ type: number; data: Buffer }> {
  const head = await wire.take(20);
  if (head.readUInt32BE(8) !== option)
    throw refused(`answered option ${head.readUInt32BE(8)}, not ${option}`);
  return { type: head.readUInt32BE(12), data: await wire.take(head.readUInt32BE(16)) };
}

function refused(why: string): CinderfsError {
  return new CinderfsError('read_failed', `the NBD server ${why}`);
}
