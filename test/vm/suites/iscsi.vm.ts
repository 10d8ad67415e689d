import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { brick, type BrickAnswer } from '../support/brick.js';
import { sha256Of, writeContent } from '../support/content.js';
import { CHAP, INITIATOR, iscsiInfo, startIscsi } from '../support/iscsi.js';
import { leftovers } from '../support/leftovers.js';
import { type Backstore, fileBackstore, IscsiTarget } from '../targets/lio.js';

const MIB = 16;
const IQN = 'iqn.2026-01.test.lab:volume-1';
const PORTAL = '127.0.0.1:3260';
const SERIAL = '11112222-3333-4444-5555-666677778888';
const CONNECTION = iscsiInfo({ iqn: IQN, portals: [PORTAL], lun: 1 });

describe('cinderfs-brick: iSCSI with CHAP over one portal', () => {
  let digest: string;
  let target: IscsiTarget;
  let store: Backstore;
  let connected: BrickAnswer;

  before(async () => {
    await startIscsi();
    digest = writeContent('/tmp/volume-1', MIB, 'volume 1');
    store = fileBackstore('volume-1', '/tmp/volume-1', MIB * 2 ** 20, SERIAL);
    target = new IscsiTarget(IQN, INITIATOR, [PORTAL], CHAP);
    target.map(1, store);
  });
  after(() => {
    target.remove();
    store.remove();
  });

  it('tells Cinder which initiator this host is', async () => {
    const answer = await brick('connector', {});
    assert.equal(answer.error, undefined);
    assert.equal(answer.initiator, INITIATOR);
    assert.equal(answer.host, 'guest');
    assert.equal(answer.multipath, false);
  });

  it('connects a volume that reads as it was written, and says who the disk is', async () => {
    connected = await brick('connect', { connection: CONNECTION });
    assert.equal(connected.error, undefined);
    assert.equal(connected.size, MIB * 2 ** 20);
    assert.match(connected.diskseq ?? '', /^\d+$/);
    assert.ok(
      connected.ids?.some((id) => id.startsWith('naa.6001405')),
      String(connected.ids),
    );
    assert.ok(connected.ids?.includes(`serial.${SERIAL}`), String(connected.ids));
    assert.equal(sha256Of(connected.path ?? '', MIB), digest);
  });

  it('asks the disk again without os-brick', async () => {
    const started = performance.now();
    const answer = await brick('check', { path: connected.path });
    assert.deepEqual(answer, connected);
    console.log(`# check took ${Math.round(performance.now() - started)} ms`);
  });

  it('refuses to remove a disk that another program has open', async () => {
    const { openSync, closeSync } = await import('node:fs');
    const file = openSync(connected.path ?? '', 'r');
    try {
      const answer = await brick('disconnect', {
        connection: CONNECTION,
        path: connected.path,
        use_seconds: 1,
      });
      assert.equal(answer.error?.code, 'in_use');
      assert.match(answer.error.message, /node \(\d+\)/);
    } finally {
      closeSync(file);
    }
    assert.equal(sha256Of(connected.path ?? '', MIB), digest);
  });

  it('disconnects and leaves no disk, no session and no node record', async () => {
    const answer = await brick('disconnect', { connection: CONNECTION, path: connected.path });
    assert.deepEqual(answer, {});
    assert.deepEqual(leftovers(), []);
  });

  it('takes "already gone" for success', async () => {
    assert.deepEqual(await brick('disconnect', { connection: CONNECTION, path: connected.path }), {});
  });

  it('names a wrong secret without showing it, and leaves nothing', async () => {
    const wrong = { ...CONNECTION, auth_password: 'wrong-secret-0000' };
    const answer = await brick('connect', { connection: wrong, scan_attempts: 1 });
    assert.ok(answer.error !== undefined);
    assert.ok(!JSON.stringify(answer).includes('wrong-secret-0000'));
    assert.deepEqual(leftovers(), []);
  });
});
