/** An engine that was to hand its mount over, and is told to go on instead. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { DaemonHandover } from '../../src/daemon/handover.js';
import { OpenGate } from '../../src/daemon/open-gate.js';
import { CinderfsError } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { ManualClock, settle } from '../fakes/manual-clock.js';

type Parts = ConstructorParameters<typeof DaemonHandover>[0];

for (const broken of ['control', 'state'] as const)
  it(`reads go on though its ${broken} directory is bad, and all is as before once that is mended`, async () => {
    const clock = new ManualClock();
    const did: string[] = [];
    let bad = true;
    const fails = (name: string): Promise<void> => {
      if (bad) return Promise.reject(new CinderfsError('path_unusable', `${name} is gone`));
      did.push(name);
      return Promise.resolve();
    };
    const step = (name: string): (() => Promise<void>) =>
      name.startsWith(broken) ? () => fails(name) : () => Promise.resolve(void did.push(name));
    const pool = {
      report: () => [],
      handOver: () => Promise.resolve(),
      takeBack: step('state taken back'),
    } as unknown as Parts['pool'];
    const gate = new OpenGate(pool);
    const transport = { resume: () => did.push('reads') } as unknown as Parts['transport'];
    const control = { close: () => Promise.resolve(), open: step('control open') };
    const handover = new DaemonHandover({ pool, gate, transport, control, clock, log: silentLog });
    await handover.yield();
    const resumed = handover.resume();
    await clock.advance(5_000);
    await resumed;
    assert.deepEqual(did, broken === 'control' ? ['reads', 'state taken back'] : ['reads']);
    bad = false;
    await clock.advance(1_000);
    await settle();
    assert.deepEqual(did, ['reads', 'state taken back', 'control open']);
  });
