import { DirectoryStream } from './directory-stream.js';
import { OPEN_IN, OPEN_OUT, READ_IN, RELEASE_IN } from '../protocol/messages.js';
import type { Operation, OperationContext, Outcome } from './operation.js';
import { answer, EMPTY, operation, refuse } from './operation.js';
import { MAX_READ, Opcode } from '../protocol/opcodes.js';
import type { Request } from '../protocol/request.js';
import { structure } from '../protocol/request.js';

/** Listing. Attributes travel with the names (READDIRPLUS), so that `ls -l` asks once per page, not per image. */
export const DIRECTORY_OPERATIONS: Readonly<Record<number, Operation>> = {
  [Opcode.OPENDIR]: operation(structure(OPEN_IN), (context, { request }) => {
    context.quota.take(request.uid);
    const fh = context.nextDirectory();
    context.directories.set(fh, new DirectoryStream(request.node, request.uid, context.snapshots));
    return {
      payload: [OPEN_OUT.encode({ fh })],
      undelivered: () => close(context, fh),
    };
  }),

  [Opcode.READDIR]: operation(structure(READ_IN), (context, call) => read(context, call)),

  [Opcode.READDIRPLUS]: operation(structure(READ_IN), (context, call) =>
    read(context, call, context.attributeTtlSeconds),
  ),

  [Opcode.RELEASEDIR]: operation(structure(RELEASE_IN), (context, { arguments: { fh } }) => {
    close(context, fh);
    return EMPTY;
  }),
};

interface ReadCall {
  readonly request: Request;
  readonly arguments: { readonly fh: number; readonly offset: number; readonly size: number };
}

async function read(
  context: OperationContext,
  { request, arguments: { fh, offset, size } }: ReadCall,
  plusTtl?: number,
): Promise<Outcome> {
  const stream = context.directories.get(fh) ?? openedBefore(context, fh, request);
  if (stream === undefined) return refuse('EBADF');
  if (stream.needsSnapshot(offset)) stream.take(await context.filesystem.readdir(stream.node));
  const { bytes, looked } = stream.page(offset, Math.min(size, MAX_READ), plusTtl);
  for (const node of looked) context.nodes.add(node);
  return {
    ...answer(bytes),
    undelivered: () => {
      for (const node of looked) context.nodes.forget(node, 1);
    },
  };
}

/**
 * A directory that an earlier engine had open: its snapshot is lost, but the catalog that it was taken of was kept, so
 * that the offsets mean what they meant.
 */
function openedBefore(
  context: OperationContext,
  fh: number,
  { node, uid }: Request,
): DirectoryStream | undefined {
  if (!context.tookOver) return undefined;
  context.quota.adopt(uid);
  const stream = new DirectoryStream(node, uid, context.snapshots);
  context.directories.set(fh, stream);
  return stream;
}

function close({ directories, quota }: OperationContext, fh: number): void {
  const stream = directories.get(fh);
  if (stream === undefined) return;
  directories.delete(fh);
  quota.give(stream.uid);
}
