/** The NBD protocol, as far as a read-only client needs it: names and numbers of NetworkBlockDevice/nbd doc/proto.md. */

export const NBD_MAGIC = Buffer.from('NBDMAGICIHAVEOPT', 'latin1');
export const REPLY_MAGIC = 0x67446698;
export const STRUCTURED_REPLY_MAGIC = 0x668e33ef;
const REQUEST_MAGIC = 0x25609513;
const OPTION_MAGIC = NBD_MAGIC.subarray(8);

/** Handshake flags; the client's answer has the same bits. */
export const FLAG_FIXED_NEWSTYLE = 1 << 0;
export const FLAG_NO_ZEROES = 1 << 1;

export const OPTION = {
  exportName: 1,
  abort: 2,
  go: 7,
  structuredReply: 8,
  setMetaContext: 10,
} as const;

export const OPTION_REPLY = { ack: 1, info: 3, metaContext: 4 } as const;
/** Option replies with this bit are refusals. */
export const OPTION_ERROR = 2 ** 31;
export const OPTION_ERROR_UNSUPPORTED = 2 ** 31 + 1;

export const INFO = { export: 0, blockSize: 3 } as const;

export const COMMAND = { read: 0, disconnect: 2, blockStatus: 7 } as const;

export const CHUNK = { none: 0, data: 1, hole: 2, blockStatus: 5, error: 0x8001 } as const;
export const CHUNK_DONE = 1 << 0;
/** Chunk types with this bit report an error. */
export const CHUNK_ERROR = 1 << 15;

/** Block status of the context `base:allocation`: the range is not allocated. */
export const STATE_HOLE = 1 << 0;

export const META_CONTEXT = 'base:allocation';

/** ESHUTDOWN: the server is going down, another may come. */
export const ERROR_SHUTDOWN = 108;

/** Names of the errors the protocol allows in a reply. */
const ERROR_NAMES: Readonly<Record<number, string>> = {
  1: 'EPERM',
  5: 'EIO',
  12: 'ENOMEM',
  22: 'EINVAL',
  28: 'ENOSPC',
  75: 'EOVERFLOW',
  95: 'ENOTSUP',
  [ERROR_SHUTDOWN]: 'ESHUTDOWN',
};

export function errorName(error: number): string {
  return ERROR_NAMES[error] ?? `error ${error}`;
}

export interface Request {
  readonly command: number;
  /** Below 2^32; comes back in the reply. */
  readonly cookie: number;
  readonly offset: number;
  readonly length: number;
}

/** A request of the transmission phase: 28 bytes, without flags. */
export function encodeRequest({ command, cookie, offset, length }: Request): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt32BE(REQUEST_MAGIC, 0);
  bytes.writeUInt16BE(command, 6);
  bytes.writeUInt32BE(cookie, 12);
  writeUint64(bytes, offset, 16);
  bytes.writeUInt32BE(length, 24);
  return bytes;
}

export function encodeOption(option: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(16);
  OPTION_MAGIC.copy(head);
  head.writeUInt32BE(option, 8);
  head.writeUInt32BE(data.length, 12);
  return Buffer.concat([head, data]);
}

/** 64 bits of which a JavaScript number holds 53: offsets and sizes up to 8 PiB, without BigInt. */
export function writeUint64(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), at);
  bytes.writeUInt32BE(value % 2 ** 32, at + 4);
}

export function readUint64(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4);
}

export function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A string with its length in front. */
export function prefixed(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([uint32(bytes.length), bytes]);
}
