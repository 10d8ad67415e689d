import { encodeAttributes, encodeEntry } from '../protocol/attributes.js';
import {
  BATCH_FORGET_IN,
  FORGET_IN,
  FORGET_ONE,
  GETXATTR_IN,
  GETXATTR_OUT,
  STATFS_OUT,
} from '../protocol/messages.js';
import type { Operation, Outcome } from './operation.js';
import { answer, operation, refuse, UNANSWERED } from './operation.js';
import { Opcode } from '../protocol/opcodes.js';
import { counted, ignored, name, structure, structureAndName } from '../protocol/request.js';

/** Longest list or value of extended attributes, as the kernel's XATTR_SIZE_MAX. */
const XATTR_MAX = 65_536;

/** Operations on names and nodes. None of them attaches. */
export const NODE_OPERATIONS: Readonly<Record<number, Operation>> = {
  [Opcode.LOOKUP]: operation(name, async (context, { request, arguments: child, signal }) => {
    const attributes = await context.filesystem.lookup(request.node, child, { signal });
    context.nodes.add(attributes.node);
    return {
      payload: [encodeEntry(attributes, context.attributeTtlSeconds)],
      undelivered: () => context.nodes.forget(attributes.node, 1),
    };
  }),

  [Opcode.FORGET]: operation(structure(FORGET_IN), ({ nodes }, { request, arguments: { nlookup } }) => {
    nodes.forget(request.node, nlookup);
    return UNANSWERED;
  }),

  [Opcode.BATCH_FORGET]: operation(counted(BATCH_FORGET_IN, FORGET_ONE), ({ nodes }, call) => {
    for (const { nodeid, nlookup } of call.arguments) nodes.forget(nodeid, nlookup);
    return UNANSWERED;
  }),

  [Opcode.GETATTR]: operation(ignored, async ({ filesystem, attributeTtlSeconds }, { request }) =>
    answer(encodeAttributes(await filesystem.getattr(request.node), attributeTtlSeconds)),
  ),

  [Opcode.READLINK]: operation(ignored, async ({ filesystem }, { request }) =>
    answer(Buffer.from(await filesystem.readlink(request.node))),
  ),

  [Opcode.GETXATTR]: operation(structureAndName(GETXATTR_IN), async ({ filesystem }, call) =>
    sized(await filesystem.getxattr(call.request.node, call.arguments.name), call.arguments.size),
  ),

  [Opcode.LISTXATTR]: operation(structure(GETXATTR_IN), async ({ filesystem }, call) => {
    const names = await filesystem.listxattr(call.request.node);
    return sized(Buffer.from(names.map((each) => `${each}\0`).join('')), call.arguments.size);
  }),

  [Opcode.STATFS]: operation(ignored, async ({ filesystem }) => {
    const stats = await filesystem.statfs();
    return answer(
      STATFS_OUT.encode({
        blocks: stats.blocks,
        bfree: stats.blocks,
        bavail: stats.blocks,
        files: stats.files,
        ffree: stats.files,
        bsize: stats.blockSize,
        frsize: stats.blockSize,
        namelen: stats.nameMax,
      }),
    );
  }),
};

/** An extended attribute into a buffer of `room` bytes; 0 asks how much room there must be. */
function sized(value: Buffer, room: number): Outcome {
  if (room === 0) return answer(GETXATTR_OUT.encode({ size: value.length }));
  if (value.length > Math.min(room, XATTR_MAX)) return refuse('ERANGE');
  return answer(value);
}
