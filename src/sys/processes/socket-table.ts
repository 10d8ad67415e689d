/** The unix sockets of this network namespace that somebody listens on, and who. */
import { readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs';

export interface ListeningSocket {
  readonly inode: string;
  /** As it was bound; an abstract name begins with '@'. The file may be gone. */
  readonly path: string;
}

/** SO_ACCEPTCON. */
const LISTENS = '00010000';

/** Empty where the kernel does not tell. */
export function listeningSockets(): readonly ListeningSocket[] {
  let table: string;
  try {
    table = readFileSync('/proc/net/unix', 'utf8');
  } catch {
    return [];
  }
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
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const pid = pids.find((name) => {
    try {
      return statSync(`/proc/${name}`).uid === uid && hasOpen(name, `socket:[${inode}]`);
    } catch {
      // It has ended, or is not ours to look at.
      return false;
    }
  });
  return pid === undefined ? undefined : Number(pid);
}

function hasOpen(pid: string, what: string): boolean {
  return readdirSync(`/proc/${pid}/fd`).some((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`) === what;
    } catch {
      return false;
    }
  });
}
