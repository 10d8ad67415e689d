import {
  NBD_MAGIC,
  OPTION,
  OPTION_ERROR_UNSUPPORTED,
  OPTION_REPLY,
  REPLY_MAGIC,
  STRUCTURED_REPLY_MAGIC,
  uint16,
  uint32,
} from '../../../src/nbd/protocol.js';

/** What a server says, for seeds: the client sends the same in every run, so an answer need not wait for its question. */
export const SIZE = 256 * 1024;

const GREETING = Buffer.concat([NBD_MAGIC, uint16(3)]);

export function uint64(value: number): Buffer {
  return Buffer.concat([uint32(Math.floor(value / 2 ** 32)), uint32(value % 2 ** 32)]);
}

function reply(option: number, type: number, data: Buffer = Buffer.alloc(0)): Buffer {
  const magic = Buffer.from('0003e889045565a9', 'hex');
  return Buffer.concat([magic, uint32(option), uint32(type), uint32(data.length), data]);
}

const exported = (size: number): Buffer => Buffer.concat([uint16(0), uint64(size), uint16(1)]);
const blocks = (minimum: number): Buffer =>
  Buffer.concat([uint16(3), uint32(minimum), uint32(4096), uint32(1 << 25)]);

/** Up to the transmission phase. */
export function handshake(structured: boolean): Buffer {
  const context = Buffer.concat([uint32(7), Buffer.from('base:allocation')]);
  const asked = structured
    ? [
        reply(OPTION.structuredReply, OPTION_REPLY.ack),
        reply(OPTION.setMetaContext, OPTION_REPLY.metaContext, context),
        reply(OPTION.setMetaContext, OPTION_REPLY.ack),
      ]
    : [];
  return Buffer.concat([
    GREETING,
    ...asked,
    reply(OPTION.go, OPTION_REPLY.info, exported(SIZE)),
    reply(OPTION.go, OPTION_REPLY.info, blocks(512)),
    reply(OPTION.go, OPTION_REPLY.ack),
  ]);
}

const NO_STRUCTURED_REPLIES = reply(OPTION.structuredReply, OPTION_ERROR_UNSUPPORTED);

/** Of a server that knows neither structured replies nor block sizes. */
export const PLAIN = Buffer.concat([
  GREETING,
  NO_STRUCTURED_REPLIES,
  reply(OPTION.go, OPTION_REPLY.info, exported(SIZE)),
  reply(OPTION.go, OPTION_REPLY.ack),
]);

/** Of a server that acknowledges an export and says nothing of it. */
export const WITHOUT_SIZE = Buffer.concat([
  GREETING,
  NO_STRUCTURED_REPLIES,
  reply(OPTION.go, OPTION_REPLY.ack),
]);

/** The oldest way. */
export const OLD = Buffer.concat([NBD_MAGIC, uint16(2), uint64(SIZE), uint16(1)]);

/** Refused, with words. */
export const REFUSED = Buffer.concat([
  GREETING,
  NO_STRUCTURED_REPLIES,
  reply(OPTION.go, 2 ** 31 + 6, Buffer.from('no such export')),
]);

export function simple(cookie: number, data: Buffer, error = 0): Buffer {
  return Buffer.concat([uint32(REPLY_MAGIC), uint32(error), uint64(cookie), data]);
}

export function chunk(cookie: number, flags: number, type: number, body: Buffer): Buffer {
  const head = [uint32(STRUCTURED_REPLY_MAGIC), uint16(flags), uint16(type), uint64(cookie)];
  return Buffer.concat([...head, uint32(body.length), body]);
}

export const data = (offset: number, length: number): Buffer =>
  Buffer.concat([uint64(offset), Buffer.alloc(length, 0x5a)]);
export const hole = (offset: number, length: number): Buffer =>
  Buffer.concat([uint64(offset), uint32(length)]);
export const extents = (...list: readonly (readonly [length: number, state: number])[]): Buffer =>
  Buffer.concat([
    uint32(7),
    ...list.map(([length, state]) => Buffer.concat([uint32(length), uint32(state)])),
  ]);
