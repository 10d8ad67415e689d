import { CinderfsError } from '../../errors.js';
import { errnoName, loadKoffi, type Koffi, type Library } from '../calls/koffi.js';

/** Capabilities by the numbers of linux/capability.h. */
export const CAPABILITY = {
  linux_immutable: 9,
  net_broadcast: 11,
  net_raw: 13,
  ipc_owner: 15,
  sys_module: 16,
  sys_pacct: 20,
  sys_boot: 22,
  sys_time: 25,
  sys_tty_config: 26,
  mknod: 27,
  lease: 28,
  audit_control: 30,
  mac_override: 32,
  mac_admin: 33,
  syslog: 34,
  wake_alarm: 35,
  block_suspend: 36,
  audit_read: 37,
  perfmon: 38,
  bpf: 39,
  checkpoint_restore: 40,
} as const;

export type Capability = keyof typeof CAPABILITY;

const PR_SET_DUMPABLE = 4;
const PR_CAPBSET_READ = 23;
const PR_CAPBSET_DROP = 24;
const RLIMIT_CORE = 4;

/**
 * Takes capabilities from whatever this thread starts from now on, and from what that starts: a program that root runs
 * gets what the bounding set allows. This process keeps what it has.
 *
 * @throws CinderfsError `unsupported` without koffi, or where this process may not.
 */
export function dropForChildren(capabilities: readonly Capability[]): void {
  const { koffi, libc } = library();
  const prctl = libc.func('int prctl(int option, ulong a, ulong b, ulong c, ulong d)');
  for (const name of capabilities) {
    // An older kernel does not know the newest.
    if (Number(prctl(PR_CAPBSET_READ, CAPABILITY[name], 0, 0, 0)) !== 1) continue;
    if (Number(prctl(PR_CAPBSET_DROP, CAPABILITY[name], 0, 0, 0)) === 0) continue;
    throw new CinderfsError('unsupported', `cannot drop ${name}: ${errnoName(koffi, koffi.errno())}`);
  }
}

/**
 * No memory of this process is ever written to a disk: it holds credentials. Nor that of the processes that it starts,
 * unless they change their limit.
 *
 * @throws CinderfsError `unsupported` without koffi.
 */
export function forbidCoreDumps(): void {
  const { libc } = library();
  const setrlimit = libc.func('int setrlimit(int resource, const void *limit)');
  setrlimit(RLIMIT_CORE, Buffer.alloc(16));
  // For root alone: of an ordinary user it would take /proc/self away.
  if (process.getuid?.() === 0)
    libc.func('int prctl(int option, ulong a, ulong b, ulong c, ulong d)')(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

function library(): { readonly koffi: Koffi; readonly libc: Library } {
  const koffi = loadKoffi();
  if (koffi === undefined) throw new CinderfsError('unsupported', 'the koffi package is missing');
  return { koffi, libc: koffi.load('libc.so.6') };
}
