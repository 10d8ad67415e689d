import { systemCode } from '../../protocol/errno.js';

/** Codes that say the kernel has let go of the mount; nothing can be answered any more. */
const GONE = new Set(['ENODEV', 'ECONNABORTED', 'ENOTCONN']);

export function isGone(thrown: unknown): boolean {
  return GONE.has(systemCode(thrown) ?? '');
}
