import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { RbdAddress } from '../../src/ceph/address.js';
import { RbdImages } from '../../src/ceph/rbd-images.js';
import { CinderfsError } from '../../src/errors.js';
import { FakeCeph } from '../fakes/fake-ceph.js';
import { settle } from '../fakes/manual-clock.js';
import { someBytes } from '../support/seeds.js';

const ADDRESS: RbdAddress = { cluster: 'ceph', user: 'cinder', pool: 'volumes', image: 'volume-1' };
const OTHER: RbdAddress = { ...ADDRESS, image: 'volume-2' };

describe('the RBD images of a process', () => {
  const bytes = someBytes(10_000);
  let ceph: FakeCeph;
  let images: RbdImages;

  beforeEach(() => {
    ceph = new FakeCeph();
    ceph.images.set('volume-1', { id: 'one', bytes });
    ceph.images.set('volume-2', { id: 'two', bytes });
    images = new RbdImages({ library: () => ceph, timeoutMs: 12_300, slots: 2 });
  });

  it('share one handle per image and one connection per cluster, and give both back with the last claim', async () => {
    const claims = await Promise.all([images.open(ADDRESS), images.open(OTHER)]);
    const last = await images.share(OTHER, 'two');
    assert.deepEqual([ceph.connects, ceph.opens], [1, 2]);
    for (const claim of [...claims, await images.share(ADDRESS, 'one')]) {
      claim.release();
      claim.release();
    }
    await images.quiet();
    assert.deepEqual([ceph.handles.size, ceph.clusters.size], [1, 1]);
    last.release();
    await images.quiet();
    assert.deepEqual([ceph.handles.size, ceph.clusters.size], [0, 0]);
    assert.deepEqual(ceph.crashes, []);
  });

  it('close an image only when the reads of it have come back', async () => {
    const { image, release } = await images.open(ADDRESS);
    const goOn = ceph.hang();
    const buffers = [Buffer.alloc(100), Buffer.alloc(100), Buffer.alloc(100)];
    const reads = buffers.map((buffer, index) => image.read(index * 100, buffer));
    release();
    await settle();
    assert.equal(ceph.handles.size, 1);
    goOn();
    await Promise.all(reads);
    await images.quiet();
    assert.deepEqual(Buffer.concat(buffers), bytes.subarray(0, 300));
    assert.deepEqual([ceph.handles.size, ceph.clusters.size], [0, 0]);
    assert.deepEqual(ceph.crashes, []);
    await assert.rejects(image.read(0, Buffer.alloc(1)), { code: 'read_failed' });
  });

  it('let any number of reads wait, without a warning of a leak', async (t) => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error): unknown => warnings.push(warning);
    process.on('warning', onWarning);
    t.after(() => process.off('warning', onWarning));
    const { image, release } = await images.open(ADDRESS);
    const goOn = ceph.hang();
    const reads = Array.from({ length: 30 }, () => image.read(0, Buffer.alloc(10)));
    await settle();
    goOn();
    await Promise.all(reads);
    release();
    await images.quiet();
    assert.deepEqual(warnings, []);
  });

  it('never join another image that has the name by now', async () => {
    const { release } = await images.open(ADDRESS);
    ceph.images.set('volume-1', { id: 'new', bytes });
    const again = await images.open(ADDRESS);
    assert.equal(again.image.id, 'new');
    const old = await images.share(ADDRESS, 'one');
    assert.equal(old.image.id, 'one');
    for (const claim of [{ release }, old]) claim.release();
    await assert.rejects(images.share(ADDRESS, 'one'), { code: 'read_failed' });
    again.release();
    await images.quiet();
    assert.deepEqual([ceph.handles.size, ceph.clusters.size], [0, 0]);
  });

  it('try a cluster again that could not be reached', async () => {
    ceph.refusal = new CinderfsError('connector_failed', 'the Ceph cluster ceph: ETIMEDOUT');
    await assert.rejects(images.open(ADDRESS), { code: 'connector_failed' });
    ceph.refusal = undefined;
    const { release } = await images.open(ADDRESS);
    release();
    await images.quiet();
    assert.deepEqual([ceph.connects, ceph.clusters.size], [2, 0]);
  });

  it('leave the cluster when the image is not there', async () => {
    await assert.rejects(images.open({ ...ADDRESS, image: 'none' }), /ENOENT/);
    assert.equal(ceph.clusters.size, 0);
  });

  it('end every call of a dead cluster: nothing of librados waits for ever', async () => {
    const { release } = await images.open(ADDRESS);
    release();
    for (const option of ['client_mount_timeout', 'rados_mon_op_timeout', 'rados_osd_op_timeout'])
      assert.equal(ceph.settings[option], '13', option);
    await images.quiet();
  });

  it('say what is missing where there is no librbd', async () => {
    const none = new RbdImages({ library: () => undefined, timeoutMs: 1, slots: 1 });
    assert.equal(none.available, false);
    await assert.rejects(none.open(ADDRESS), { code: 'connector_missing' });
  });
});
