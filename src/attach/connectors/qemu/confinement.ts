/**
 * A place for a program that reads what a stranger wrote: a user of its own, no capability, no network unless it needs it,
 * and of the file system only /usr, read-only, and one directory.
 */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { CinderfsError, reasonOf } from '../../../errors.js';
import type { Log } from '../../../log.js';
import { type Command, lookUp, run } from '../../../sys/processes/run-command.js';

/** Where a confined program finds its directory. */
export interface Cell {
  /** Empty, of this process's user: becomes the root of the program's file system. */
  readonly root: string;
  /** Belongs to `uid`; the program's working directory. */
  readonly directory: string;
  readonly uid: number;
  /** It has this host's network; else it has none. */
  readonly network: boolean;
}

type Level = 'full' | 'user' | 'none';

const PROBE_MS = 10_000;
/** Users of our own: not `nobody`, which other services share and whose processes may trace one another. */
const FIRST_UID = 0x7e000000;
const UIDS = 0x10000;

/** Arguments: root directory, working directory, then the rest of setpriv's command line. stdin is /dev/null. */
const FULL = `set -eu
PATH=/usr/bin:/bin:/usr/sbin:/sbin
root=$1 directory=$2; shift 2
mount -t tmpfs -o mode=0755,size=16m,nr_inodes=64,nosuid,nodev,noexec none "$root"
cd "$root"
mkdir usr etc cell old proc
for each in lib lib64 bin sbin; do
  if [ -L "/$each" ]; then ln -s "$(readlink "/$each")" "$each"
  elif [ -d "/$each" ]; then
    mkdir "$each"; mount --bind "/$each" "$each"; mount -o remount,bind,ro,nosuid,nodev "$each"
  fi
done
for each in ld.so.cache resolv.conf hosts nsswitch.conf gai.conf; do
  [ ! -e "/etc/$each" ] || cp "/etc/$each" etc/
done
mount --bind /usr usr
mount -o remount,bind,ro,nosuid,nodev usr
mount --bind "$directory" cell
mount --rbind /proc proc
pivot_root . old
umount -l old
rmdir old
mount -o remount,bind,ro,nosuid,nodev,noexec /
umount -l proc
cd /cell
`;
const USER = `set -eu
directory=$2; shift 2
cd "$directory"
`;
/** No core of an image's bytes, little to write; a header may ask for tables of any size. */
const LIMITS = `ulimit -c 0
ulimit -f 32768 || :
ulimit -v 8388608 || :
exec env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin LC_ALL=C setpriv "$@"
`;

export class Confinement {
  readonly #log: Log;
  #level: Promise<Level> | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Always the same for `key`, and of hardly another key. This process's own where it may not change it. */
  static uidFor(key: string): number {
    const own = process.getuid?.() ?? 0;
    return own === 0 ? FIRST_UID + (createHash('sha256').update(key).digest().readUInt32BE() % UIDS) : own;
  }

  /**
   * `command` in `cell`, where its directory is `inside`. `connector_failed` where the kernel does not let even the user
   * be another one: what runs as root decodes nothing.
   */
  async confined(
    {
      program,
      args,
      package: name,
    }: Omit<Command, 'args'> & { readonly args: (inside: string) => readonly string[] },
    cell: Cell,
  ): Promise<Command> {
    const path = await lookUp({ program, args: [], package: name });
    const level = await this.#allowed(path, cell.uid);
    return commandAt(level, [path, ...args(level === 'full' ? '/cell' : '/proc/self/cwd')], cell);
  }

  /** Whether `program` can be confined at all; the log has the reason where it cannot. */
  async possible({ program, package: name }: Omit<Command, 'args'>): Promise<boolean> {
    const path = await lookUp({ program, args: [], package: name });
    return this.#allowed(path, Confinement.uidFor(path)).then(
      () => true,
      (error: unknown) => {
        this.#log.warn(
          { reason: reasonOf(error) },
          `${basename(program)} runs with all rights of this process`,
        );
        return false;
      },
    );
  }

  #allowed(path: string, uid: number): Promise<Level> {
    this.#level ??= this.#probe(path, uid).catch((error: unknown) => {
      this.#level = undefined;
      throw error;
    });
    return this.#level;
  }

  /** The most that the kernel and this process's rights allow; found out by running `program` so. */
  async #probe(program: string, uid: number): Promise<Level> {
    const reasons: string[] = [];
    for (const level of process.getuid?.() === 0
      ? (['full', 'user'] as const)
      : (['full', 'none'] as const)) {
      const failure = await tryLevel(level, program, uid).then(() => undefined, reasonOf);
      if (failure === undefined) {
        if (level !== 'full')
          this.#log.warn(
            { reason: reasons.join('; '), confinement: level },
            'the kernel refuses namespaces; the servers of QEMU run with less between them and this host',
          );
        return level;
      }
      reasons.push(failure);
    }
    throw new CinderfsError(
      'connector_failed',
      `no program can be run here without rights: ${reasons.join('; ')}`,
      { remedy: 'Let this service use setpriv and unshare (util-linux), or convert the volume to raw.' },
    );
  }
}

async function tryLevel(level: Level, program: string, uid: number): Promise<void> {
  const base = await mkdtemp(join(tmpdir(), 'cinderfs-cell-'));
  const cell = { root: join(base, 'root'), directory: join(base, 'inside'), uid, network: false };
  try {
    for (const path of [cell.root, cell.directory]) await mkdir(path);
    await run(commandAt(level, [program, '--version'], cell), { timeoutMs: PROBE_MS });
  } finally {
    await rm(base, { recursive: true, force: true });
  }
}

function commandAt(
  level: Level,
  command: readonly string[],
  { root, directory, uid, network }: Cell,
): Command {
  const rights = ['--bounding-set=-all', '--inh-caps=-all', '--no-new-privs'];
  const own = process.getuid?.() === uid;
  // In a user namespace of its own there is no other user to become; without any there is no right to give up.
  const user = own ? [] : [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
  const setpriv = level === 'none' ? ['--no-new-privs'] : [...user, ...rights];
  const shell = [
    '/bin/sh',
    '-c',
    (level === 'full' ? FULL : USER) + LIMITS,
    'cinderfs-cell',
    root,
    directory,
  ];
  const rest = [...shell, ...setpriv, '--', ...command];
  const namespaces = [...(own ? ['--user', '--map-root-user'] : []), '--mount', '--ipc'];
  if (!network) namespaces.push('--net');
  if (level === 'full')
    return {
      program: 'unshare',
      args: [...namespaces, '--propagation', 'private', '--', ...rest],
      package: 'util-linux',
    };
  return { program: '/bin/sh', args: rest.slice(1), package: 'dash' };
}
