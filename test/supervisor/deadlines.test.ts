/** Engines that hang, under a clock that the test turns: the supervisor waits for none of them for ever. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLog } from '../../src/log.js';
import { Supervisor } from '../../src/supervisor/supervisor.js';
import { ManualClock } from '../fakes/manual-clock.js';

const DRAIN_MS = 7_000;
/** Ends by SIGKILL alone; says what it is told to say. */
const hanging = (...kinds: readonly string[]): readonly string[] => [
  '--eval',
  `process.on('SIGTERM', () => process.send({ kind: 'yielded' }));
   for (const kind of ${JSON.stringify(kinds)}) process.send({ kind, request: {} });
   process.on('message', () => undefined);`,
];

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
});

/** A supervisor of one such engine; the engine ends with this process at the latest. */
function supervised(command: readonly string[]) {
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
    drainMs: DRAIN_MS,
    onReady: isReady,
    onEnding: () => undefined,
    onFailed: (_, line) => failed.push(line),
    log: silentLog,
    clock,
  });
  const ending = supervisor.run();
  return { clock, failed, ready, supervisor, ending, warm };
}
