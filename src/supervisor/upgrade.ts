import type { Clock } from '../async/clock.js';
import { withDeadline } from '../async/deadline.js';
import { CinderfsError, reasonOf } from '../errors.js';
import type { Log } from '../log.js';
import type { UpgradeReport } from '../ops/status.js';
import type { EngineProcess } from './engine-process.js';

/** For the successor to be loaded: no reader waits for that, and on a busy machine it takes its time. */
const WARM_MS = 120_000;
/** For the old engine to come to rest, and everything open to be open again. */
const YIELD_MS = 15_000;
const RECOVER_MS = 10_000;
const SERVE_MS = 10_000;

export interface HandOverParts {
  readonly id: string;
  readonly old: EngineProcess;
  readonly successor: EngineProcess;
  /** Makes the successor the engine of the mount and lets it begin. */
  readonly begin: (successor: EngineProcess) => void;
  /** Makes the old engine the engine of the mount again. */
  readonly rollBack: () => void;
  readonly log: Log;
  readonly clock: Clock;
}

/**
 * Replaces a living engine. The old one comes to rest (no attach under way), is stopped where it stands and kept until
 * the successor has opened everything again; then it is killed and the kernel sends its unanswered requests to the
 * successor. A successor that does not get there is killed instead, and the old engine goes on with what it had in
 * hand: a stopped process reads nothing.
 */
export async function handOver(parts: HandOverParts): Promise<UpgradeReport> {
  const { id, old, successor, log, clock } = parts;
  let stoppedAt: number | undefined;
  const pause = (): number => (stoppedAt === undefined ? 0 : Math.round(clock.now() - stoppedAt));
  try {
    await within(parts, 'was not loaded', WARM_MS, successor.hears('hot'));
    stoppedAt = await rest(parts);
    parts.begin(successor);
    await within(parts, 'did not open again what was open', RECOVER_MS, successor.hears('recovered'));
  } catch (thrown) {
    successor.kill('SIGKILL');
    await successor.ended;
    old.kill('SIGCONT');
    old.tell({ kind: 'resume' });
    if (stoppedAt !== undefined) parts.rollBack();
    log.error({ reason: reasonOf(thrown), pause_ms: pause() }, 'the upgrade failed; the old engine goes on');
    return { id, pause_ms: pause(), failed: reasonOf(thrown) };
  }
  // Before the successor asks for its requests: a thread of it could still have taken one until now.
  old.kill('SIGKILL');
  await old.ended;
  successor.tell({ kind: 'serve' });
  try {
    await within(parts, 'does not serve', SERVE_MS, successor.hears('serving'));
  } catch (thrown) {
    // From here on it is an engine like any other: dead, it is started again.
    successor.kill('SIGKILL');
    return { id, pause_ms: pause(), failed: reasonOf(thrown) };
  }
  log.info({ pid: successor.pid, pause_ms: pause() }, 'another engine has taken the mount over');
  return { id, pause_ms: pause(), failed: null };
}

/** Brings the old engine to rest and stops it; when. */
async function rest(parts: HandOverParts): Promise<number> {
  const { old, clock } = parts;
  const asked = old.asks({ kind: 'yield' }, 'yielded', 'refused');
  const answer = await within(parts, 'could not start: the old engine did not quiesce', YIELD_MS, asked);
  if (answer.kind === 'refused') throw new CinderfsError('holders', answer.reason);
  const now = clock.now();
  old.kill('SIGSTOP');
  return now;
}

function within<T>({ clock }: HandOverParts, what: string, ms: number, work: Promise<T>): Promise<T> {
  return withDeadline(work, {
    clock,
    ms,
    onTimeout: () => new CinderfsError('start_timeout', `the new engine ${what} within ${ms / 1000} s`),
  });
}
