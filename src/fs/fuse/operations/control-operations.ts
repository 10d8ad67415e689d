import { INTERRUPT_IN } from '../protocol/messages.js';
import type { Operation } from './operation.js';
import { EMPTY, operation, refuse, UNANSWERED } from './operation.js';
import { Opcode } from '../protocol/opcodes.js';
import { ignored, structure } from '../protocol/request.js';
import type { ReplyErrno } from '../protocol/errno.js';

const refusing = (errno: ReplyErrno, opcodes: readonly number[]): Record<number, Operation> =>
  Object.fromEntries(opcodes.map((opcode) => [opcode, operation(ignored, () => refuse(errno))]));

/** Everything that is about the mount rather than a file of it, and everything that is refused. */
export const CONTROL_OPERATIONS: Readonly<Record<number, Operation>> = {
  // It can overtake its request between two workers. EAGAIN makes the kernel ask again, unless that was answered.
  [Opcode.INTERRUPT]: operation(structure(INTERRUPT_IN), ({ interrupt }, { arguments: { unique } }) =>
    interrupt(unique) ? UNANSWERED : refuse('EAGAIN'),
  ),

  [Opcode.DESTROY]: operation(ignored, () => EMPTY),

  [Opcode.NOTIFY_REPLY]: operation(ignored, () => UNANSWERED),

  // Mounted ro, the kernel refuses most of these by itself.
  ...refusing('EROFS', [
    Opcode.SETATTR,
    Opcode.SYMLINK,
    Opcode.MKNOD,
    Opcode.MKDIR,
    Opcode.UNLINK,
    Opcode.RMDIR,
    Opcode.RENAME,
    Opcode.RENAME2,
    Opcode.LINK,
    Opcode.WRITE,
    Opcode.SETXATTR,
    Opcode.REMOVEXATTR,
    Opcode.CREATE,
    Opcode.FALLOCATE,
    Opcode.COPY_FILE_RANGE,
    Opcode.TMPFILE,
  ]),

  ...refusing('ENOTTY', [Opcode.IOCTL]),

  // Once refused so, the kernel takes them as done and never asks again: one hop less per close, poll and access.
  ...refusing('ENOSYS', [
    Opcode.FLUSH,
    Opcode.FSYNC,
    Opcode.FSYNCDIR,
    Opcode.ACCESS,
    Opcode.POLL,
    Opcode.BMAP,
  ]),
};
