/** Engines that hang, under a clock that the test turns: the supervisor waits for none of them for ever. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLog } from '../../src/log.js';
import { Supervisor } from '../../src/supervisor/supervisor.js';
import { ManualClock } from '../fakes/manual-clock.js';
import { eventually } from '../support/eventually.js';

const DRAIN_MS = 7_000;
/** Ends by SIGKILL alone; says what it is told to say, and `onSignal` when it is told to end. */
const speaking = (
  protocol: number | undefined,
  onSignal: string,
  kinds: readonly string[],
): readonly string[] => [
  '--eval',
  `process.on('SIGTERM', () => process.send({ kind: ${JSON.stringify(onSignal)} }));
   for (const kind of ${JSON.stringify(kinds)}) process.send({ kind, request: {}, protocol: ${protocol} });
   process.on('message', () => undefined);`,
];
/** Of a version that does not say that it stops. */
const hanging = (...kinds: readonly string[]): readonly string[] => speaking(undefined, 'yielded', kinds);

describe('a supervisor', { timeout: 60_000 }, () => {
  it('ends the first start when the engine hangs', async () => {
    const { clock, failed, ending, warm } = supervised(hanging('warm', 'mount'));
    await warm;
    await clock.advance(179_000);
    assert.equal(failed.length, 0);
    await clock.advance(1_000);
    assert.deepEqual(await ending, { status: 11, signal: null });
    assert.match(failed[0] ?? '', /did not serve in time.*\[start_timeout\]/);
  });

  it('does not wait for an engine that ignores SIGTERM while it starts', async () => {
    const { clock, supervisor, ending, warm } = supervised(hanging('warm', 'mount'));
    await warm;
    supervisor.signal('SIGTERM');
    await clock.advance(15_000);
    assert.deepEqual(await ending, { status: 11, signal: null });
  });

  it('does not wait for one that serves and does not end: the drain and two minutes', async () => {
    const { clock, supervisor, ending, ready } = supervised(hanging('warm', 'serving'));
    await ready;
    supervisor.signal('SIGTERM');
    let over = false;
    void ending.then(() => (over = true));
    await clock.advance(DRAIN_MS + 119_000);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(over, false);
    await clock.advance(1_000);
    assert.deepEqual(await ending, { status: 11, signal: null });
  });

  for (const drainMs of [0, DRAIN_MS])
    it(`does not wait long for one that does not say that it stops, drain ${drainMs}`, async () => {
      const engine = speaking(2, 'yielded', ['warm', 'serving']);
      const { clock, supervisor, ending, ready } = supervised(engine, drainMs);
      await ready;
      supervisor.signal('SIGTERM');
      const waits = Math.max(drainMs + 5_000, 10_000);
      assert.equal(await over(ending, () => clock.advance(waits - 1)), false);
      await clock.advance(1);
      assert.deepEqual(await ending, { status: 11, signal: null });
    });

  it('waits for one that has said so as before, and no longer', async () => {
    const engine = speaking(2, 'stopping', ['warm', 'serving']);
    const { clock, supervisor, ending, ready } = supervised(engine);
    await ready;
    supervisor.signal('SIGTERM');
    await eventually('it has said so', () =>
      Promise.resolve(clock.nextAt === DRAIN_MS + 120_000 || undefined),
    );
    assert.equal(await over(ending, () => clock.advance(DRAIN_MS + 119_000)), false);
    await clock.advance(1_000);
    assert.deepEqual(await ending, { status: 11, signal: null });
  });
});

/** Whether `ending` has settled after `work`. */
async function over(ending: Promise<unknown>, work: () => Promise<unknown>): Promise<boolean> {
  let ended = false;
  void ending.then(() => (ended = true));
  await work();
  await new Promise((resolve) => setImmediate(resolve));
  return ended;
}

/** A supervisor of one such engine; the engine ends with this process at the latest. */
function supervised(command: readonly string[], drainMs = DRAIN_MS) {
  const clock = new ManualClock();
  const failed: string[] = [];
  let isReady = (): void => undefined;
  const ready = new Promise<void>((resolve) => (isReady = resolve));
  let asks = (): void => undefined;
  const warm = new Promise<void>((resolve) => (asks = resolve));
  const supervisor = new Supervisor({
    command,
    answerer: hanging(),
    channel: {
      fd: undefined,
      bySocket: false,
      mount: () => {
        asks();
        return Promise.reject(new Error('no mount here'));
      },
    },
    drainMs,
    onReady: isReady,
    onEnding: () => undefined,
    onFailed: (_, line) => failed.push(line),
    log: silentLog,
    clock,
  });
  const ending = supervisor.run();
  return { clock, failed, ready, supervisor, ending, warm };
}
