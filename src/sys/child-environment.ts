import { delimiter, isAbsolute } from 'node:path';

/** Where a root shell would look, though a service manager's PATH may not say so. */
const FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** The folders in which programs are looked up, absolute ones only: ours, then the usual ones. */
export function programFolders(): readonly string[] {
  const ours = (process.env.PATH ?? '').split(delimiter).filter(isAbsolute);
  return [...new Set([...ours, ...FOLDERS])];
}

/**
 * All that a program we start has in its environment, and never more: ours holds OS_PASSWORD and whatever else root's
 * shell held, every process of root can read it in /proc, and qemu-nbd parses what tenants wrote. One language for all:
 * messages are parsed and shown.
 */
export function childEnvironment(): { readonly PATH: string; readonly LC_ALL: string } {
  return { PATH: programFolders().join(delimiter), LC_ALL: 'C.UTF-8' };
}
