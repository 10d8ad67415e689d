import type { AttachTimes } from '../../src/attach/context/context.js';
import type { AttachableImage } from '../../src/attach/contract/lease.js';
import { AttachWorld } from '../fakes/attach-world.js';

export const MOUNT = 'cinderfs:host-1:m';

/** An image in a volume that only one host may attach, to be read through a clone. */
export function cloneScene(times: Partial<AttachTimes> = {}): { world: AttachWorld; image: AttachableImage } {
  const world = new AttachWorld(times, { isolate: 'clone' });
  Object.assign(world.context, { properties: { ...world.context.properties, mountpoint: MOUNT } });
  return { world, image: world.addImage('v1', { multiattach: false }) };
}

/** Lets time pass until `work` has settled. */
export async function patiently<T>(world: AttachWorld, work: Promise<T>): Promise<T> {
  const state = { settled: false };
  const done = work.finally(() => (state.settled = true));
  done.catch(() => undefined);
  for (let turn = 0; !state.settled && turn < 200; turn++) await world.clock.advance(1_000);
  return done;
}

export const clonesOf = (world: AttachWorld): readonly string[] => world.clones.of('v1');
