/** The listening unix sockets of this network namespace, and their processes. */
import { readdirSync, readlinkSync, statSync } from 'node:fs';
import { kernelTextSync } from '../files/kernel-text.js';
import { allPids } from './proc.js';

export interface ListeningSocket {
  readonly inode: string;
  /** As it was bound; an abstract name begins with '@'. The file may be gone. */
  readonly path: string;
}

/** SO_ACCEPTCON. */
const LISTENS = '00010000';

/** Empty where the kernel does not tell. */
export function listeningSockets(): readonly ListeningSocket[] {
  const table = kernelTextSync('/proc/net/unix');
  // Num: RefCount Protocol Flags Type St Inode Path; the path may hold spaces.
  return Array.from(
    table.matchAll(/^\S+: \S+ \S+ (\S+) \S+ \S+ +(\d+) (.+)$/gm),
    ([, flags = '', inode = '', path = '']) => ({ flags, inode, path }),
  )
    .filter(({ flags }) => flags === LISTENS)
    .map(({ inode, path }) => ({ inode, path }));
}

/** A process of `uid` that has this socket open; undefined where none is to be seen. */
export function processWith(inode: string, uid: number): number | undefined {
  return allPids().find((pid) => {
    try {
      return statSync(`/proc/${pid}`).uid === uid && hasOpen(pid, `socket:[${inode}]`);
    } catch {
      // It has ended, or is not ours to look at.
      return false;
    }
  });
}

function hasOpen(pid: number, what: string): boolean {
  return readdirSync(`/proc/${pid}/fd`).some((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`) === what;
    } catch {
      return false;
    }
  });
}
