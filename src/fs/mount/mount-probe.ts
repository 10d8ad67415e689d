import { spawn } from 'node:child_process';
import { childEnvironment } from '../../sys/child-environment.js';

/** One question to a mount. */
export interface MountProbe {
  /** What kept it from answering, undefined if nothing did; not before it has, however long that takes. */
  readonly complaint: Promise<string | undefined>;
  /** No caller waits for the answer any more; this process may end without it. */
  abandon(): void;
}

/**
 * Asks the file system for its figures through the kernel, which never answers that from its caches as it may a stat.
 *
 * A process of its own asks. A request that an engine has read cannot be interrupted: were we killed while a thread of
 * ours waits for it, that thread could not end, nor this process, nor let go of its /dev/fuse, which alone would end the
 * request. No engine would ever follow, and the mount would hang for ever.
 */
export function probeMount(mountpoint: string): MountProbe {
  const asking = spawn('stat', ['--file-system', '--format=%i', '--', mountpoint], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: childEnvironment(),
  });
  let said = '';
  asking.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const complaint = new Promise<string | undefined>((resolve) => {
    asking.once('close', (status) => resolve(status === 0 ? undefined : said.trim()));
    asking.once('error', (error) => resolve(error.message));
  });
  const abandon = (): void => {
    asking.kill('SIGKILL');
    asking.stderr.destroy();
    asking.unref();
  };
  return { complaint, abandon };
}
