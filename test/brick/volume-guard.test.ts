import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { locksOf, VolumeGuard } from '../../src/attach/connectors/brick/volume-guard.js';
import { CinderfsError } from '../../src/errors.js';
import { temporaryFolder } from '../support/temporary.js';
import { Contender, FASTENERS } from './contender.js';

const ID = '11111111-2222-3333-4444-555555555555';
const SERVICE = 'aaaaaaaa-2222-3333-4444-555555555555';
const OF_VOLUME = `glance_store-${ID}`;
const OF_TARGET = `os-brick-${SERVICE}`;

void it("names the locks that nova's guard_connection and glance take", async (test) => {
  const folder = await temporaryFolder(test);
  const [old, scanning] = [join(folder, 'old'), join(folder, 'scanning')];
  await writeFile(old, 'iscsiadm of long ago');
  await writeFile(scanning, 'iscsiadm with node.session.scan');
  const locks = (sharedTargets: boolean | null, iscsiadm: string): Promise<readonly string[]> =>
    locksOf({ id: ID, sharedTargets, serviceUuid: SERVICE }, iscsiadm);
  assert.deepEqual(await locks(false, old), [OF_VOLUME]);
  assert.deepEqual(await locks(true, scanning), [OF_VOLUME]);
  assert.deepEqual(await locks(true, old), [OF_TARGET, OF_VOLUME]);
  assert.deepEqual(await locks(null, scanning), [OF_TARGET, OF_VOLUME]);
  const twisted = { id: '../../etc/passwd', sharedTargets: null, serviceUuid: '../x' };
  assert.deepEqual(await locksOf(twisted, old), []);
});

void it('keeps neighbours out while it holds them, and waits for them', async (test) => {
  const folder = await temporaryFolder(test);
  const guard = new VolumeGuard({ lockDirectories: [folder], waitMs: 20_000 });
  const release = await guard.take([OF_TARGET, OF_VOLUME]);
  for (const name of [OF_TARGET, OF_VOLUME])
    assert.equal((await Contender.start(test, FASTENERS, join(folder, name), '0.2')).said, 'refused');
  await release();
  const neighbour = await Contender.start(test, FASTENERS, join(folder, OF_TARGET), '5');
  assert.equal(neighbour.said, 'held');
  const impatient = new VolumeGuard({ lockDirectories: [folder], waitMs: 300 });
  await assert.rejects(
    impatient.take([OF_TARGET]),
    (error) => CinderfsError.is(error) && error.message.includes('holds'),
  );
  const waiting = guard.take([OF_TARGET]);
  await neighbour.end();
  await (
    await waiting
  )();
});

void it('lets our own volumes take turns', async (test) => {
  const guard = new VolumeGuard({ lockDirectories: [await temporaryFolder(test)], waitMs: 20_000 });
  const order: string[] = [];
  const work = async (name: string): Promise<void> => {
    const release = await guard.take([OF_TARGET]);
    order.push(`${name} in`);
    await new Promise(setImmediate);
    order.push(`${name} out`);
    await release();
  };
  await Promise.all([work('a'), work('b'), work('c')]);
  assert.deepEqual(order, ['a in', 'a out', 'b in', 'b out', 'c in', 'c out']);
});

void it('asks for nothing where there is no neighbour', async () => {
  await (
    await new VolumeGuard({ lockDirectories: [], waitMs: 1, program: '/nowhere' }).take([OF_VOLUME])
  )();
});
