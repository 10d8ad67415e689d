import { constants } from 'node:fs';
import type { OpenFile } from '../../contract/filesystem.js';
import { LSEEK_IN, LSEEK_OUT, OPEN_IN, READ_IN, RELEASE_IN } from '../protocol/messages.js';
import { giveBack } from '../files/give-back.js';
import { openOut } from '../files/open-answer.js';
import type { Opened } from '../files/opened.js';
import type { Operation, OperationContext, Waits } from './operation.js';
import { answer, EMPTY, operation, refuse, UNANSWERED } from './operation.js';
import { MAX_READ, Opcode } from '../protocol/opcodes.js';
import type { Request } from '../protocol/request.js';
import { structure } from '../protocol/request.js';
import type { ReadJob } from '../worker/messages.js';

/** lseek(2)'s whence, as far as the kernel asks us. */
const SEEK_WHENCE: Readonly<Record<number, 'data' | 'hole' | undefined>> = { 3: 'data', 4: 'hole' };

/** Open files. Reads come here only when no worker answers them: no descriptor, a stalled source, a fence. */
export const FILE_OPERATIONS: Readonly<Record<number, Operation>> = {
  [Opcode.OPEN]: operation(structure(OPEN_IN), async (context, { request, arguments: { flags }, signal }) => {
    const opened =
      (await context.earlier.openedBy(request.unique)) ?? (await openAnew(context, request, flags, signal));
    context.onOpened(opened);
    return {
      payload: [openOut(opened)],
      undelivered: () => close(context, opened.fh),
    };
  }),

  [Opcode.READ]: operation(structure(READ_IN), async (context, call) => {
    const { request, since } = call;
    const { fh, offset, size, flags } = call.arguments;
    const opened = context.files.get(fh) ?? (await context.earlier.get(fh));
    if (opened === undefined) return refuse('EBADF');
    const length = Math.min(size, MAX_READ);
    const uncached = (flags & constants.O_DIRECT) !== 0;
    const { unique, pid } = request;
    const job = { unique, pid, fh, offset, length, uncached };
    // The file system says why a fenced file is not read, to the reader and to the operator.
    if (opened.file.fenced.aborted) return answer(await readHere(context, opened, job, call));
    // What is here already is returned at once.
    const kept = context.routes.kept(opened, job);
    if (kept !== undefined) return answer(kept);
    if (context.routes.queue(opened, { job, since })) return UNANSWERED;
    return answer(await readHere(context, opened, job, call));
  }),

  [Opcode.RELEASE]: operation(structure(RELEASE_IN), (context, { arguments: { fh } }) => {
    close(context, fh);
    return EMPTY;
  }),

  [Opcode.LSEEK]: operation(structure(LSEEK_IN), async (context, { arguments: call, signal }) => {
    const opened = context.files.get(call.fh) ?? (await context.earlier.get(call.fh));
    const whence = SEEK_WHENCE[call.whence];
    if (opened === undefined) return refuse('EBADF');
    if (whence === undefined) return refuse('EINVAL');
    if (call.offset >= opened.file.size) return refuse('ENXIO');
    opened.file.fenced.throwIfAborted();
    const offset =
      (await seekHere(opened, call.offset, whence)) ??
      (await context.filesystem.seek(opened.file.handle, call.offset, whence, { signal }));
    return offset === Infinity ? refuse('ENXIO') : answer(LSEEK_OUT.encode({ offset }));
  }),
};

/** Reads on the main thread, through the file system. Nothing leaves once the file is fenced. */
export async function readHere(
  { filesystem }: Pick<OperationContext, 'filesystem'>,
  { file }: Opened,
  { offset, length }: ReadJob,
  { signal, waitedMs }: Waits,
): Promise<Buffer> {
  const bytes = await filesystem.read(file.handle, offset, length, { signal, waitedMs });
  file.fenced.throwIfAborted();
  return bytes;
}

/** Asks the source itself, within the image; undefined where only the file system can tell. */
async function seekHere(
  { descriptor, file }: Opened,
  offset: number,
  whence: 'data' | 'hole',
): Promise<number | undefined> {
  const found = await descriptor?.published.seek?.(offset, whence);
  if (found === undefined) return undefined;
  // Beyond the image there is neither data nor a hole of it, whatever the source holds there.
  if (whence === 'data') return found < file.size ? found : Infinity;
  return Math.min(found, file.size);
}

/** From open() on the file is ours to release, whatever happens. */
async function openAnew(
  context: OperationContext,
  { node, unique, uid }: Request,
  flags: number,
  signal: AbortSignal,
): Promise<Opened> {
  const { filesystem, files, quota } = context;
  // Those that wait for their attach count as well.
  quota.take(uid);
  let file: OpenFile | undefined;
  try {
    file = await filesystem.open(node, flags, { signal, uid, readsItself: true });
    file.fenced.throwIfAborted();
    signal.throwIfAborted();
    return await files.add(file, unique, uid);
  } catch (error) {
    quota.give(uid);
    if (file !== undefined) giveBack(filesystem, file, error);
    throw error;
  }
}

function close(context: OperationContext, fh: number): void {
  context.earlier.close(fh);
  const file = context.files.remove(fh);
  if (file !== undefined) context.filesystem.release(file.handle);
}
