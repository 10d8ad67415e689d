/** What admins, attackers and other hosts do to images and volumes. */
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { eventually } from '../../support/eventually.js';
import type { Random } from '../../support/random.js';
import { moment } from '../../support/time.js';
import { RECIPES, type SoakImage } from '../images.js';
import type { World } from '../world.js';
import type { Hurt } from './hurt.js';

export const VOLUME_HURTS: readonly Hurt[] = [
  { name: 'force-detach', weight: 4, strike: forceDetach },
  { name: 'deactivate an image', weight: 2, strike: deactivate },
  { name: 'replace an image', weight: 1, strike: replace },
  { name: 'reuse a LUN', weight: 3, strike: reuseLun },
  { name: 'another host attaches', weight: 3, strike: attachElsewhere },
];

async function forceDetach(world: World, random: Random): Promise<void> {
  const ours = [...world.devcloud.cloud.attachments.keys()].filter((id) => !world.foreign.has(id));
  if (ours.length === 0) return;
  world.tally.hurt('force-detach');
  await world.devcloud.adminFaults.detach(random.pick(ours));
}

async function deactivate(world: World, random: Random): Promise<void> {
  const { id } = random.pick([...world.images.values()]);
  world.tally.hurt('deactivated image');
  world.devcloud.adminFaults.setImageStatus(id, 'deactivated');
  await moment(random.whole(500, 5_000));
  if (world.cloudRuns) world.devcloud.adminFaults.setImageStatus(id, 'active');
}

/** Deleted, and another image of the same name in its place, with other bytes. */
async function replace(world: World, random: Random): Promise<void> {
  const recipe = random.pick(RECIPES);
  const old = world.images.get(recipe.spec.name ?? '');
  if (old === undefined) return;
  const file = await world.sample(recipe);
  world.tally.hurt('replaced image');
  const made = await world.devcloud.adminFaults.replaceImage(old.id, recipe.spec, { file });
  world.adopt(made, old.multiattach, file);
}

/**
 * The path of a volume serves other bytes. Nobody has it open when it happens, so every open that follows must find
 * out: bytes of another volume are never right, not even once.
 */
async function reuseLun(world: World, random: Random): Promise<void> {
  const image = random.pick([...world.images.values()]);
  const recipe = RECIPES.find(({ spec }) => spec.name === image.name);
  if (recipe === undefined) return;
  const other = await world.sample(recipe);
  const inPlace = random.chance(0.6);
  const serve = (bytes: string, into: boolean): Promise<void> =>
    world.devcloud.adminFaults.swapBytes(image.volumeId, bytes, into);
  try {
    await world.alone(image, async () => {
      if (!isStill(world, image)) return;
      world.tally.hurt(inPlace ? 'reused LUN' : 'reused path');
      await serve(other, inPlace);
    });
    await moment(random.whole(1_000, 6_000));
  } finally {
    if (isStill(world, image)) await serve(image.source, true);
    await rm(other);
  }
}

function isStill(world: World, { id, volumeId }: SoakImage): boolean {
  return world.images.get(imageName(world, id))?.id === id && world.devcloud.cloud.volumes.has(volumeId);
}

function imageName(world: World, id: string): string {
  return [...world.images.values()].find((image) => image.id === id)?.name ?? '';
}

/** A host that is no cinderfs: it takes its API time, holds the volume a while and lets go. Nobody else may end that. */
async function attachElsewhere(world: World, random: Random): Promise<void> {
  const { volumeId } = random.pick([...world.images.values()]);
  const id = randomUUID();
  if (!reserve(world, volumeId, id)) return;
  world.tally.hurt('attached elsewhere');
  world.foreign.add(id);
  await moment(random.whole(50, 2_000));
  await step(world, volumeId, id, 'connect');
  await step(world, volumeId, id, 'complete');
  await moment(random.whole(0, 4_000));
  const { cloud } = await running(world);
  if (cloud.volumes.has(volumeId) && !cloud.attachments.has(id))
    world.tally.violation(`the attachment ${id} of another host was removed`);
  await step(world, volumeId, id, 'delete');
  world.foreign.delete(id);
}

/** The other host tries again while the cloud is restarted: it must not leave behind what nobody would remove. */
function running(world: World): Promise<World['devcloud']> {
  return eventually('the cloud runs', () => Promise.resolve(world.cloudRuns ? world.devcloud : undefined));
}

function reserve(world: World, volumeId: string, id: string): boolean {
  const { cloud } = world.devcloud;
  const volume = cloud.volumes.get(volumeId);
  if (volume === undefined) return false;
  try {
    cloud.step(volume, { is: 'reserve', id, instance: null });
  } catch {
    return false; // Cinder refuses them as it refuses us
  }
  const createdAt = cloud.stamp();
  const blank = { instance: null, mode: 'ro', connector: null, connectionInfo: {}, attachedAt: null };
  cloud.attachments.set(id, { id, volumeId, status: 'reserved', ...blank, createdAt });
  return true;
}

async function step(
  world: World,
  volumeId: string,
  id: string,
  is: 'connect' | 'complete' | 'delete',
): Promise<void> {
  const { cloud } = await running(world);
  const volume = cloud.volumes.get(volumeId);
  const attachment = cloud.attachments.get(id);
  if (volume === undefined || attachment === undefined) return;
  cloud.step(volume, { is, id });
  if (is === 'connect') attachment.connectionInfo = { driver_volume_type: 'local', device_path: volume.path };
}
