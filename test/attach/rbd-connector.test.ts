import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import type { Connected } from '../../src/attach/connection/connector.js';
import { RbdConnector } from '../../src/attach/connectors/rbd/rbd-connector.js';
import { describeSource } from '../../src/sources/registry.js';
import { RbdImages } from '../../src/ceph/rbd-images.js';
import type { ConnectionInfo } from '../../src/cinder/contract/attachments.js';
import { CinderfsError } from '../../src/errors.js';
import { FakeCeph } from '../fakes/fake-ceph.js';
import { ManualClock, settle } from '../fakes/manual-clock.js';
import { someBytes } from '../support/seeds.js';
import { temporaryFolder } from '../support/temporary.js';

const VOLUME = '5a44472b-5116-4c68-8fe4-3e0a165dcb41';
const IMAGE = `volume-${VOLUME}`;
const KEY = 'AQDt9SNpAAAAABAAsecretsecretsecretsecretQ==';
/** As Cinder's RBD driver says it. */
const INFO: ConnectionInfo = {
  driver_volume_type: 'rbd',
  name: `volumes/${IMAGE}`,
  hosts: ['192.0.2.1', '[2001:db8::1]'],
  ports: ['6789', '6790'],
  cluster_name: 'ceph',
  auth_enabled: true,
  auth_username: 'cinder',
  secret_type: 'ceph',
  secret_uuid: '3f5a6b3c-0000-4000-8000-000000000000',
  volume_id: VOLUME,
  discard: true,
  access_mode: 'rw',
  encrypted: false,
};
const ASK_MS = 10_000;

describe('the rbd connector', () => {
  const bytes = someBytes(5_000);
  const never = new AbortController().signal;
  let ceph: FakeCeph;
  let images: RbdImages;
  let clock: ManualClock;

  beforeEach(() => {
    ceph = new FakeCeph();
    ceph.images.set(IMAGE, { id: '104fd6cbdda0', bytes });
    clock = new ManualClock();
    images = new RbdImages({ library: () => ceph, timeoutMs: 30_000, slots: 4 });
  });

  const make = (cephDirectory = '/nonexistent'): RbdConnector =>
    new RbdConnector({ images, cephDirectory, clock, connectMs: 1_000 });

  async function connect(connector: RbdConnector): Promise<Connected> {
    const request = { volumeId: VOLUME, info: INFO, signal: never };
    return connector.connect(request, connector.plan(request));
  }

  async function closed(): Promise<void> {
    await images.quiet();
    assert.deepEqual([ceph.handles.size, ceph.clusters.size, clock.pending], [0, 0, 0]);
    assert.deepEqual(ceph.crashes, []);
  }

  it('reads, names and describes the image, and holds nothing once disconnected', async () => {
    const connector = make();
    const connected = await connect(connector);
    assert.equal(describeSource(connected.source), `rbd:volumes/${IMAGE}`);
    assert.equal(await connected.size(), bytes.length);
    assert.deepEqual(await connected.read(1_000, 2_000), bytes.subarray(1_000, 3_000));
    assert.equal(connected.host.id, '104fd6cbdda0');
    assert.equal(await connected.object(), 'rbd image 104fd6cbdda0');
    await connector.disconnect(connected.host);
    await connector.disconnect(connected.host);
    await closed();
  });

  it('asks with the configuration, the name and the monitors that it is told, and journals no key', async (t) => {
    const directory = await temporaryFolder(t);
    await mkdir(directory, { recursive: true });
    const keyring = path.join(directory, 'ceph.client.cinder.keyring');
    await writeFile(path.join(directory, 'ceph.conf'), '[global]\n');
    await writeFile(keyring, `[client.cinder]\n\tkey = ${KEY}\n`);
    const plan = make(directory).plan({ info: INFO });
    assert.deepEqual(plan, {
      cluster: 'ceph',
      user: 'cinder',
      conf: path.join(directory, 'ceph.conf'),
      keyring,
      monitors: '192.0.2.1:6789,[2001:db8::1]:6790',
      pool: 'volumes',
      image: IMAGE,
    });
    assert.doesNotMatch(JSON.stringify(plan), /secret/);
  });

  it('adopts the image of an earlier process, and no other that has its name by now', async () => {
    const first = make();
    const { host } = await connect(first);
    const second = make();
    const adopted = await second.adopt(host);
    assert.deepEqual(await adopted?.read(0, 10), bytes.subarray(0, 10));
    await second.disconnect(host);
    await first.disconnect(host);
    ceph.images.set(IMAGE, { id: 'another', bytes });
    assert.equal(await second.adopt(host), undefined);
    ceph.images.delete(IMAGE);
    await assert.rejects(second.adopt(host), /ENOENT/);
    await closed();
  });

  it('notices that the image was deleted under it: librbd would read zeros', async () => {
    const connector = make();
    const { lost, host } = await connect(connector);
    await clock.advance(3 * ASK_MS);
    assert.equal(lost.aborted, false);
    ceph.images.delete(IMAGE);
    await clock.advance(ASK_MS);
    assert.equal((lost.reason as CinderfsError).code, 'identity_mismatch');
    await connector.disconnect(host);
    await closed();
  });

  it('keeps an image whose cluster does not answer', async () => {
    const connector = make();
    const { lost, host } = await connect(connector);
    const goOn = ceph.hang();
    await clock.advance(5 * ASK_MS);
    assert.equal(lost.aborted, false);
    goOn();
    await settle();
    await connector.disconnect(host);
    await closed();
  });

  it('gives back what arrives when nobody waits any more', async () => {
    const connector = make();
    const leaving = new AbortController();
    const request = { volumeId: VOLUME, info: INFO, signal: leaving.signal };
    const connecting = connector.connect(request, connector.plan(request));
    leaving.abort(new CinderfsError('interrupted', 'enough'));
    await assert.rejects(connecting, { code: 'interrupted' });
    await settle();
    await closed();
  });

  const refused: readonly (readonly [string, ConnectionInfo])[] = [
    ['another protocol', { ...INFO, driver_volume_type: 'iscsi' }],
    ['a volume that must be decoded', { ...INFO, format: 'qcow2' }],
  ];
  for (const [what, info] of refused)
    it(`leaves ${what} to others`, async () => {
      assert.equal((await make().refusal(info))?.code, 'protocol_unsupported');
    });

  it('says what to install where librbd is missing', async () => {
    images = new RbdImages({ library: () => undefined, timeoutMs: 1, slots: 1 });
    const refusal = await make().refusal(INFO);
    assert.equal(refusal?.code, 'connector_missing');
    assert.match(refusal.remedy, /librbd1/);
    assert.equal(
      await make()
        .refusal({ ...INFO, driver_volume_type: 'nfs' })
        .then((r) => r?.code),
      'protocol_unsupported',
    );
  });

  const hostile: readonly (readonly [string, Partial<ConnectionInfo>])[] = [
    ['a name without a pool', { name: IMAGE }],
    ['a name that leaves its pool', { name: 'volumes/../other' }],
    ['an option for a monitor', { hosts: ['192.0.2.1,keyring=/etc/shadow'] }],
    ['a cluster that is a path', { cluster_name: '../../tmp/evil' }],
    ['a user that is an option', { auth_username: 'cinder --conf' }],
  ];
  for (const [what, change] of hostile)
    it(`refuses ${what}`, () => {
      assert.throws(() => make().plan({ info: { ...INFO, ...change } }), {
        code: 'connector_failed',
      });
    });
});
