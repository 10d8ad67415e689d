import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import type { BrickConnector } from '../../../src/attach/connectors/brick/brick-connector.js';
import { CinderfsError } from '../../../src/errors.js';
import { eventually } from '../../support/eventually.js';
import { moment } from '../../support/time.js';
import { sh } from '../support/command.js';
import { startConnector } from '../support/connector.js';
import { sha256Of, writeContent } from '../support/content.js';
import { CHAP, INITIATOR, iscsiInfo, startIscsi } from '../support/iscsi.js';
import { leftovers } from '../support/leftovers.js';
import { connect, describeLife, pathOf, type Volume } from '../support/lifecycle.js';
import { type Backstore, fileBackstore, IscsiTarget } from '../targets/lio.js';

const MIB = 8;
const IQN = 'iqn.2026-01.test.lab:array';
const PORTAL = '127.0.0.1:3260';
const SERIAL = '11112222-3333-4444-5555-666677778888';

let connector: BrickConnector;
let target: IscsiTarget;
let store: Backstore;
let foreign: Backstore;
let volume: Volume;

before(async () => {
  await startIscsi();
  const digest = writeContent('/tmp/volume-1', MIB, 'volume 1');
  writeContent('/tmp/foreign', MIB, 'somebody else');
  store = fileBackstore('volume-1', '/tmp/volume-1', MIB * 2 ** 20, SERIAL);
  foreign = fileBackstore('foreign', '/tmp/foreign', MIB * 2 ** 20, 'ffffffff-3333-4444-5555-666677778888');
  target = new IscsiTarget(IQN, INITIATOR, [PORTAL], CHAP);
  target.map(1, store);
  const info = iscsiInfo({ iqn: IQN, portals: [PORTAL], lun: 1 });
  volume = { id: 'volume-1', info, mib: MIB, digest };
  connector = await startConnector();
});
after(() => {
  target.remove();
  store.remove();
  foreign.remove();
});

describe('iSCSI with CHAP', () => {
  it('tells Cinder which initiator this host is', async () => {
    const { initiator, host, multipath } = await connector.properties();
    assert.deepEqual(
      { initiator, host, multipath },
      { initiator: INITIATOR, host: 'guest', multipath: false },
    );
  });

  describeLife(
    { connector: () => connector, volume: () => volume },
    { ids: ['naa.60014051111222233334444555566667', `serial.${SERIAL}`] },
  );

  it('does not pull the disk from under another program', async () => {
    const connected = await connect(connector, volume);
    const file = await open(pathOf(connected), 'r');
    try {
      await assert.rejects(connector.disconnect(connected.host), /open in node \(\d+\)/);
    } finally {
      await file.close();
    }
    assert.equal(sha256Of(pathOf(connected), MIB), volume.digest);
    await connector.disconnect(connected.host);
    assert.deepEqual(leftovers(), []);
  });

  it('notices when somebody else removes the disk', async () => {
    const connected = await connect(connector, volume);
    sh('sh', '-c', 'for disk in /sys/block/sd*; do echo 1 >$disk/device/delete; done');
    // Watching keeps no process alive, so an event alone would not do.
    await eventually('the loss shows', () => Promise.resolve(connected.lost.aborted ? true : undefined));
    assert.ok(CinderfsError.is(connected.lost.reason));
    await connector.disconnect(connected.host);
    assert.deepEqual(leftovers(), []);
  });

  it('sees another volume at the same address for what it is (CVE-2023-2088)', async () => {
    const connected = await connect(connector, volume);
    const proven = await connected.object();
    target.unmap(1);
    target.map(1, foreign);
    assert.notEqual(await connected.object().catch((error: unknown) => String(error)), proven);
    await connector.disconnect(connected.host);
    target.unmap(1);
    target.map(1, store);
    const again = await connect(connector, volume);
    assert.equal(sha256Of(pathOf(again), MIB), volume.digest);
    await connector.disconnect(again.host);
    assert.deepEqual(leftovers(), []);
  });

  it('undoes what it began when the caller gives up', async () => {
    const abort = new AbortController();
    const request = { volumeId: volume.id, info: volume.info, signal: abort.signal };
    const connecting = connector.connect(request, connector.plan(request));
    void moment(1_500).then(() => abort.abort());
    await assert.rejects(connecting);
    assert.deepEqual(leftovers(), []);
  });

  it('names a wrong secret without showing it, and leaves nothing', async () => {
    const wrong = { ...volume, info: { ...volume.info, auth_password: 'wrong-secret-0000' } };
    await assert.rejects(connect(connector, wrong), (error) => {
      assert.ok(CinderfsError.is(error) && !error.toLine().includes('wrong-secret'), String(error));
      return error.code === 'connector_failed';
    });
    assert.deepEqual(leftovers(), []);
  });
});
