import { OPEN_OUT } from '../protocol/messages.js';
import { OpenFlag } from '../protocol/opcodes.js';
import type { Opened } from './opened.js';

/**
 * Image bytes never change: what the page cache holds from an earlier open stays valid. A virtual file is made anew at
 * every open, so nothing of it may stay.
 */
export function openFlags({ backingId, file }: Pick<Opened, 'backingId' | 'file'>): number {
  if (file.source === undefined) return OpenFlag.DIRECT_IO;
  return backingId === undefined ? OpenFlag.KEEP_CACHE : OpenFlag.PASSTHROUGH;
}

/** What the kernel is told of an open file. */
export function openOut(opened: Opened): Buffer {
  const { fh, backingId } = opened;
  return OPEN_OUT.encode({ fh, open_flags: openFlags(opened), backing_id: backingId ?? 0 });
}
