import { closeSync, readdirSync } from 'node:fs';
import { CinderfsError } from '../../errors.js';
import type { Log } from '../../log.js';
import { kernelTextSync } from '../../sys/files/kernel-text.js';

const O_CLOEXEC = 0o2000000;
/** Files that only root may make writable for others, as under systemd. */
const UMASK = 0o022;
/** Descriptors that an engine needs before it has opened a single image. */
const MIN_DESCRIPTORS = 128;
const FEW_DESCRIPTORS = 1_024;

/**
 * Lets go of what this process has from the shell that started it: working directory, umask, descriptors that the shell
 * had open, variables that hold settings. Relative paths must be resolved by then.
 */
export function detachFromShell(env: NodeJS.ProcessEnv): void {
  for (const name of Object.keys(env)) if (/^(OS|CINDERFS)_/.test(name)) Reflect.deleteProperty(env, name);
  process.chdir('/');
  process.umask(UMASK);
}

/** Closes what was not opened by this process: those are the descriptors that survived an exec. Before any is opened. */
export function closeInherited(): void {
  for (const fd of inherited()) {
    try {
      closeSync(fd);
    } catch {
      // It is gone already.
    }
  }
}

/** Throws `config_invalid` where the limit of descriptors cannot even start a mount. */
export function requireDescriptors(log: Log): void {
  const limit = descriptorLimit();
  if (limit < MIN_DESCRIPTORS)
    throw new CinderfsError(
      'config_invalid',
      `this process may open ${limit} files, and a mount needs ${MIN_DESCRIPTORS} at the very least`,
      { remedy: 'Raise the limit: `ulimit -Hn 65536` as root, or LimitNOFILE= in the unit.' },
    );
  if (limit < FEW_DESCRIPTORS)
    log.warn({ limit }, 'this process may open few files: images in use at the same time will fail to open');
}

function inherited(): readonly number[] {
  const channel = /(?:^|\0)NODE_CHANNEL_FD=(\d+)/.exec(kernelTextSync('/proc/self/environ'))?.[1];
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => fd > 2 && fd !== Number(channel ?? -1))
    .filter((fd) => {
      const flags = /^flags:\s*(\d+)$/m.exec(kernelTextSync(`/proc/self/fdinfo/${fd}`))?.[1];
      return flags !== undefined && (parseInt(flags, 8) & O_CLOEXEC) === 0;
    });
}

/** Node has raised the soft limit to the hard one. */
function descriptorLimit(): number {
  const limit = /^Max open files\s+(\S+)/m.exec(kernelTextSync('/proc/self/limits'))?.[1];
  return limit === undefined || limit === 'unlimited' ? Infinity : Number(limit);
}
