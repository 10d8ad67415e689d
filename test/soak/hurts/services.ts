/** What goes wrong in OpenStack's services. */
import { FAULT_KINDS, type FaultKind, type FaultSpec } from '../../../devcloud/faults.js';
import type { Random } from '../../support/random.js';
import { moment } from '../../support/time.js';
import type { World } from '../world.js';
import type { Hurt } from './hurt.js';

/** Calls that a fault can strike; the weight is in how often they stand here. */
const CALLS = [
  { service: 'cinder', method: 'POST', path: '/attachments' },
  { service: 'cinder', method: 'PUT', path: '/attachments/*' },
  { service: 'cinder', method: 'POST', path: '/attachments/*' },
  { service: 'cinder', method: 'DELETE', path: '/attachments/*' },
  { service: 'cinder', method: 'GET', path: '/attachments*' },
  { service: 'cinder', path: '*' },
  { service: 'glance', path: '*' },
  { service: 'keystone', path: '*' },
  {},
] as const satisfies readonly Partial<FaultSpec>[];

/** A request that hangs for ever ends with the client's deadline, 90 s for calls of the backend: not too many of them. */
const KINDS: readonly FaultKind[] = [
  ...FAULT_KINDS,
  ...FAULT_KINDS.filter((kind) => !kind.startsWith('hang')),
];

function draw(random: Random): FaultSpec {
  const kind = random.pick(KINDS);
  const delayMs = random.whole(50, 3_000);
  const call = kind.startsWith('attach-') || kind === 'connector-conflict' ? {} : random.pick(CALLS);
  return {
    ...call,
    kind,
    delayMs,
    ...(kind === 'status' ? { status: random.pick([429, 500, 502, 503, 504]) } : {}),
    seed: random.whole(0, 2 ** 31),
    probability: random.pick([0.3, 1]),
    count: kind === 'attach-stuck' ? 1 : random.whole(1, 6),
  };
}

async function withFaults(world: World, random: Random, howMany: number): Promise<void> {
  const { faults } = world.devcloud;
  const armed = Array.from({ length: howMany }, () => faults.add(draw(random)));
  for (const { spec } of armed) world.tally.hurt(spec.kind);
  await moment(random.whole(500, 6_000));
  for (const { id } of armed) faults.remove(id);
}

export const SERVICE_HURTS: readonly Hurt[] = [
  { name: 'a fault', weight: 6, strike: (world, random) => withFaults(world, random, 1) },
  { name: 'two faults', weight: 6, strike: (world, random) => withFaults(world, random, 2) },
  {
    name: 'the cloud is restarted',
    weight: 1,
    strike: async (world, random) => {
      world.tally.hurt('restarted cloud');
      await world.stopCloud();
      await moment(random.whole(0, 4_000));
      await world.startCloud();
    },
  },
  {
    name: 'tokens are revoked',
    weight: 1,
    strike: async (world) => {
      world.tally.hurt('revoked tokens');
      world.devcloud.tokens.revokeAll();
      return Promise.resolve();
    },
  },
];
