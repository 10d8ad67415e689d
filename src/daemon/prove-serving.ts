import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Clock } from '../async/clock.js';
import { withDeadline } from '../async/deadline.js';
import { CinderfsError, reasonOf } from '../errors.js';

const DEADLINE_MS = 10_000;

/**
 * Asks the file system for its figures through the kernel, which never answers that from its caches as it may a stat:
 * so that READY is said by a mount that answers and by no other (s3fs-fuse#445: "happily starts and backgrounds").
 *
 * A process of its own asks. Were we killed while a thread of ours waits for an answer that only we could give, that
 * thread could not end, nor this process, nor the mount: no engine would ever follow.
 */
export async function proveServing(mountpoint: string, clock: Clock): Promise<void> {
  const asking = spawn('stat', ['--file-system', '--format=%i', '--', mountpoint], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, LC_ALL: 'C' },
  });
  await withDeadline(answerTo(asking, mountpoint), {
    clock,
    ms: DEADLINE_MS,
    onTimeout: () => {
      asking.kill('SIGKILL');
      asking.unref();
      return new CinderfsError(
        'start_timeout',
        `${mountpoint} was mounted but did not answer a stat in ${DEADLINE_MS / 1000} s`,
        { path: mountpoint },
      );
    },
  });
}

async function answerTo(asking: ReturnType<typeof spawn>, mountpoint: string): Promise<void> {
  let complaint = '';
  asking.stderr?.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  const [status] = await once(asking, 'close').catch((error: unknown) => {
    complaint = reasonOf(error);
    return [undefined];
  });
  if (status === 0) return;
  throw new CinderfsError(
    'fuse_failed',
    `${mountpoint} was mounted but does not answer: ${complaint.trim()}`,
    { path: mountpoint },
  );
}
