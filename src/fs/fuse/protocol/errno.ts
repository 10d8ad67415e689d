import { constants } from 'node:os';
import type { Errno } from '../../../errors.js';
import { CinderfsError } from '../../../errors.js';

/** Errno names that only the protocol itself answers with. */
export type ReplyErrno = Errno | 'ENOTTY';

/** The number of an errno, as the kernel wants it in a reply: negative. */
export function negated(errno: ReplyErrno): number {
  return -constants.errno[errno];
}

/** The errno a failed operation answers with. Whatever is not a CinderfsError is a bug of ours: EIO. */
export function errnoOf(thrown: unknown): ReplyErrno {
  return CinderfsError.is(thrown) ? thrown.errno : 'EIO';
}

/** The `code` that Node puts on the errors of system calls ('ENODEV'); undefined for anything else. */
export function systemCode(thrown: unknown): string | undefined {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string'
    ? thrown.code
    : undefined;
}
