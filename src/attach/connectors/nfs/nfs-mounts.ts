import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CinderfsError } from '../../../errors.js';
import { findMount } from '../../../sys/mounts/mount-table.js';
import { run } from '../../../sys/processes/run-command.js';

export interface NfsMountsOptions {
  /** Holds the mount points; empty after a reboot, for this mount alone. */
  readonly directory: string;
  readonly timeoutMs: number;
  /** For tests; mount(8) otherwise. */
  readonly mountProgram?: string | undefined;
}

/** Nothing on a share runs, is a device, or leads out of it. */
const HARMLESS = ['ro', 'nosuid', 'nodev', 'noexec'];

/** What Cinder may ask for: how the server is spoken to, never what the mount may do here. */
const OPTION =
  /^(?:(?:nfsvers|vers|minorversion|proto|port|mountport|rsize|wsize|sec|timeo|retrans|nconnect|lookupcache|retry)=[a-z0-9.]+|hard|soft|softerr|lock|nolock|rdirplus|nordirplus)$/;

/**
 * Shares mounted on this host for us alone, read-only, one mount per share, for as long as a volume of it is in use.
 * The users of a share are listed in a directory next to the mount: a crash forgets neither.
 */
export class NfsMounts {
  readonly #options: NfsMountsOptions;
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(options: NfsMountsOptions) {
    this.#options = options;
  }

  /** Where `share` is, or will be, mounted. */
  pathOf(share: string): string {
    return join(this.#options.directory, createHash('sha256').update(share).digest('hex').slice(0, 32));
  }

  async isMounted(share: string): Promise<boolean> {
    return (await findMount(this.pathOf(share))) !== undefined;
  }

  /** Makes sure that `share` is mounted, and stays so until `user` lets go. `options` as Cinder has them: `-o vers=4.1`. */
  take(share: string, user: string, options: unknown): Promise<string> {
    return this.#inTurn(share, async () => {
      const path = this.pathOf(share);
      const wanted = [...HARMLESS, ...optionsIn(options)].join(',');
      await mkdir(path, { recursive: true, mode: 0o700 });
      await mkdir(usersOf(path), { recursive: true, mode: 0o700 });
      await writeFile(join(usersOf(path), user), '');
      if (!(await this.isMounted(share))) {
        const program = this.#options.mountProgram ?? 'mount';
        await this.#run(program, ['-t', 'nfs', '-o', wanted, share, path]);
        // By itself: mount.nfs hands what it does not know to the kernel's NFS, which does not know it either.
        const closed = ['remount', 'bind', ...HARMLESS, 'nosymfollow'].join(',');
        await this.#run('mount', ['-o', closed, path]).catch((error: unknown) => this.#unmount(path, error));
      }
      return path;
    });
  }

  /** Idempotent. Unmounts after the last user; rejects while a process has a file of it open. */
  letGo(share: string, user: string): Promise<void> {
    return this.#inTurn(share, async () => {
      const path = this.pathOf(share);
      await rm(join(usersOf(path), user), { force: true });
      if ((await readdir(usersOf(path)).catch(() => [])).length > 0) return;
      if (await this.isMounted(share)) await this.#run('umount', [path]);
      for (const directory of [usersOf(path), path]) await rmdir(directory).catch(unlessGone);
    });
  }

  /** A share whose symbolic links could not be switched off is not read. */
  async #unmount(path: string, reason: unknown): Promise<never> {
    await this.#run('umount', [path]);
    throw reason;
  }

  async #run(program: string, args: readonly string[]): Promise<void> {
    await run({ program, args, package: 'mount' }, { timeoutMs: this.#options.timeoutMs });
  }

  #inTurn<T>(share: string, work: () => Promise<T>): Promise<T> {
    const done = (this.#turns.get(share) ?? Promise.resolve()).then(work);
    this.#turns.set(
      share,
      done.catch(() => undefined),
    );
    return done;
  }
}

function usersOf(path: string): string {
  return `${path}.users`;
}

function optionsIn(value: unknown): readonly string[] {
  if (value === undefined || value === null || value === '') return [];
  const options = typeof value === 'string' ? value.replace(/^\s*-o\s+/, '').split(',') : [''];
  const strange = options.find((option) => !OPTION.test(option));
  if (strange === undefined) return options;
  throw new CinderfsError('connector_failed', `the mount option ${JSON.stringify(strange)} is not allowed`);
}

function unlessGone(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}
