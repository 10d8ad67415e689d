import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { BrickConnector } from '../../../src/attach/connectors/brick/brick-connector.js';
import { eventually } from '../../support/eventually.js';
import { sh } from '../support/command.js';
import { startConnector } from '../support/connector.js';
import { sha256Of, writeContent } from '../support/content.js';
import { CHAP, INITIATOR, iscsiInfo, quickSessions, startIscsi } from '../support/iscsi.js';
import { leftovers } from '../support/leftovers.js';
import { connect, describeLife, pathOf, type Volume } from '../support/lifecycle.js';
import { paths, startMultipath } from '../support/multipath.js';
import { Reader } from '../support/reader.js';
import { type Backstore, fileBackstore, IscsiTarget } from '../targets/lio.js';

const MIB = 8;
const IQN = 'iqn.2026-01.test.lab:array';
const PORTALS = ['127.0.0.1:3260', '127.0.0.2:3260'];
const SERIAL = '11112222-3333-4444-5555-666677778888';

let connector: BrickConnector;
let target: IscsiTarget;
let store: Backstore;
let volume: Volume;

before(async () => {
  quickSessions();
  await startIscsi();
  await startMultipath();
  const digest = writeContent('/tmp/volume-1', MIB, 'volume 1');
  store = fileBackstore('volume-1', '/tmp/volume-1', MIB * 2 ** 20, SERIAL);
  target = new IscsiTarget(IQN, INITIATOR, PORTALS, CHAP);
  target.map(1, store);
  volume = { id: 'volume-1', info: iscsiInfo({ iqn: IQN, portals: PORTALS, lun: 1 }), mib: MIB, digest };
  connector = await startConnector({ multipath: true, enforceMultipath: true });
});
after(() => {
  target.remove();
  store.remove();
});

describe('iSCSI over two portals with multipath', () => {
  it('tells Cinder that it can', async () => {
    assert.equal((await connector.properties()).multipath, true);
  });

  describeLife(
    { connector: () => connector, volume: () => volume },
    { ids: ['naa.60014051111222233334444555566667', `serial.${SERIAL}`] },
  );

  it('goes on reading while a path fails and returns', async () => {
    const connected = await connect(connector, volume);
    assert.match(sh('readlink', '-f', pathOf(connected)), /^\/dev\/dm-/);
    await eventually('two good paths', () => Promise.resolve(paths().active === 2 ? true : undefined));
    const reader = new Reader(pathOf(connected), MIB * 2 ** 20);
    target.removePortal('127.0.0.2:3260');
    await eventually('a failed path', () => Promise.resolve(paths().failed === 1 ? true : undefined));
    // A path that does not answer is no reason to doubt the volume.
    assert.equal(await connected.object(), connected.host.identity);
    assert.equal(sha256Of(pathOf(connected), MIB), volume.digest);
    target.addPortal('127.0.0.2:3260');
    await eventually('two good paths again', () => Promise.resolve(paths().active === 2 ? true : undefined));
    await reader.stop();
    assert.ok(reader.rounds > 0);
    console.log(`# ${reader.rounds} rounds, the slowest read took ${Math.round(reader.slowest)} ms`);
    await connector.disconnect(connected.host);
    assert.deepEqual(leftovers(), []);
  });
});
