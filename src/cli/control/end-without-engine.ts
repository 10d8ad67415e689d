import { systemClock } from '../../async/clock.js';
import type { Config } from '../../config/options.js';
import { runDirOf } from '../../daemon/run-dir.js';
import { CinderfsError } from '../../errors.js';
import { describeHolder, findHolders } from '../../fs/mount/holders.js';
import { unmount } from '../../fs/mount/mountpoint.js';
import { isGoneWithin, signalProcess } from '../../sys/processes/process-name.js';
import { SupervisorFile } from '../../supervisor/supervisor-file.js';
import type { EndProgress } from './end-progress.js';

/**
 * Milliseconds for a supervisor to end a mount, beyond drain_timeout. With an engine that hangs it takes some seconds; one
 * that has begun to stop, or that speaks protocol 1, may only be slow.
 */
const SUPERVISOR_MS = 150_000;

/**
 * Ends a mount whose engines do not answer, by its supervisor: what is attached stays so, in the journal.
 *
 * @throws CinderfsError `holders` when it is in use, `no_answer` when it has no supervisor or that does not end.
 */
export async function endWithoutEngine(
  config: Config,
  directory: string,
  lazy: boolean,
  progress: EndProgress,
): Promise<void> {
  // The supervisor answers the readers that go on.
  if (lazy) return unmount(directory, { lazy });
  const holders = await findHolders(directory);
  if (holders.length > 0)
    throw new CinderfsError('holders', `${directory} is busy: ${holders.map(describeHolder).join('; ')}`);
  const supervisor = new SupervisorFile(runDirOf(config, directory)).read();
  if (supervisor === undefined)
    throw new CinderfsError('no_answer', `the daemon of ${directory} does not answer and has no supervisor`, {
      remedy: `End its process, then run \`umount -l ${directory}\`.`,
    });
  signalProcess(supervisor, 'SIGTERM');
  progress.bySupervisor(supervisor.pid);
  if (await isGoneWithin(supervisor, systemClock, config.drain_timeout * 1000 + SUPERVISOR_MS)) return;
  throw new CinderfsError(
    'no_answer',
    `the supervisor of ${directory} (pid ${supervisor.pid}) does not end`,
    { remedy: `Kill it, then run \`umount -l ${directory}\`.` },
  );
}
