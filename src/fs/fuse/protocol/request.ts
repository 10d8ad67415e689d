import { IN_HEADER } from './messages.js';
import type { Fields, Struct, Values } from '../../../sys/calls/struct.js';

/** A request of the kernel, its header decoded and its body still bytes. */
export interface Request {
  readonly opcode: number;
  /** Names the request in replies and interrupts; bit 63 marks one that is sent again (FUSE_NOTIFY_RESEND). */
  readonly unique: bigint;
  readonly node: number;
  /** The user of the caller. */
  readonly uid: number;
  /** Thread that waits for the answer; 0 when it is not visible from this pid namespace. */
  readonly pid: number;
  readonly body: Buffer;
}

/** Decodes the header; undefined when the bytes are not one whole request. */
export function decodeRequest(bytes: Buffer): Request | undefined {
  if (bytes.length < IN_HEADER.size) return undefined;
  const { len, opcode, unique, nodeid, uid, pid } = IN_HEADER.decode(bytes);
  if (len !== bytes.length) return undefined;
  return { opcode, unique, node: nodeid, uid, pid, body: bytes.subarray(IN_HEADER.size) };
}

/** How the body of one opcode is read; undefined when the bytes are too few or a name has no end. */
export type Shape<T> = (body: Buffer) => T | undefined;

/** A body that is ignored. */
export const ignored: Shape<object> = (body) => body;

/** One structure; what may follow it is ignored (later protocols append fields). */
export function structure<F extends Fields>(layout: Struct<F>): Shape<Values<F>> {
  return (body) => (body.length < layout.size ? undefined : layout.decode(body));
}

/** One name, ended by NUL. */
export const name: Shape<string> = (body) => {
  const end = body.indexOf(0);
  return end < 1 ? undefined : body.toString('utf8', 0, end);
};

/** A structure, then a name. */
export function structureAndName<F extends Fields>(layout: Struct<F>): Shape<Values<F> & { name: string }> {
  return (body) => {
    const values = structure(layout)(body);
    const text = values === undefined ? undefined : name(body.subarray(layout.size));
    return values === undefined || text === undefined ? undefined : { ...values, name: text };
  };
}

/** A counted list of structures behind a structure that holds the count. */
export function counted<F extends Fields>(
  head: Struct<{ readonly count: 'u32'; readonly dummy: 'u32' }>,
  item: Struct<F>,
): Shape<readonly Values<F>[]> {
  return (body) => {
    const count = structure(head)(body)?.count;
    if (count === undefined || body.length < head.size + count * item.size) return undefined;
    return Array.from({ length: count }, (_, index) => item.decode(body, head.size + index * item.size));
  };
}
