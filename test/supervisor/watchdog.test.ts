/** What feeds the service manager's watchdog, on a clock that a test moves. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { MountProbe } from '../../src/fs/mount/mount-probe.js';
import { Watchdog } from '../../src/supervisor/watchdog.js';
import { ManualClock } from '../fakes/manual-clock.js';

class Mount {
  readonly clock = new ManualClock();
  between = false;
  fed = 0;
  /** Probes that wait for an answer. */
  readonly asked: ((complaint: string | undefined) => void)[] = [];
  abandoned = 0;
  readonly watchdog = new Watchdog({
    withinMs: 10_000,
    mountpoint: '/mnt',
    between: () => this.between,
    feed: () => (this.fed += 1),
    clock: this.clock,
    probe: () => this.#probe(),
  });

  async answer(well: boolean): Promise<void> {
    for (const resolve of this.asked.splice(0)) resolve(well ? undefined : 'Input/output error');
    await this.clock.advance(0);
  }

  #probe(): MountProbe {
    const complaint = new Promise<string | undefined>((resolve) => this.asked.push(resolve));
    return { complaint, abandon: () => (this.abandoned += 1) };
  }
}

it('is fed when the mount has answered, twice in its time', async () => {
  const mount = new Mount();
  mount.watchdog.start();
  assert.equal(mount.fed, 0);
  await mount.answer(true);
  assert.equal(mount.fed, 1);
  await mount.clock.advance(5_000);
  await mount.answer(true);
  assert.equal(mount.fed, 2);
});

it('is not fed by a mount that does not answer, nor asks it twice', async () => {
  const mount = new Mount();
  mount.watchdog.start();
  await mount.clock.advance(60_000);
  assert.equal(mount.fed, 0);
  assert.equal(mount.asked.length, 1);
  await mount.answer(true);
  assert.equal(mount.fed, 1, 'a late answer counts when it comes');
  await mount.clock.advance(5_000);
  assert.equal(mount.asked.length, 1);
});

it('is not fed by an error', async () => {
  const mount = new Mount();
  mount.watchdog.start();
  await mount.answer(false);
  assert.equal(mount.fed, 0);
});

it('is fed between two engines, where nobody can answer', async () => {
  const mount = new Mount();
  mount.watchdog.start();
  mount.between = true;
  await mount.clock.advance(20_000);
  assert.equal(mount.fed, 4);
  mount.between = false;
  await mount.clock.advance(20_000);
  assert.equal(mount.fed, 4);
});

it('waits for nobody when it is stopped', () => {
  const mount = new Mount();
  mount.watchdog.start();
  mount.watchdog.stop();
  assert.equal(mount.abandoned, 1);
  assert.equal(mount.clock.pending, 0);
});
