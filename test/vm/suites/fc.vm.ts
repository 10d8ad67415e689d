import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import type { BrickConnector } from '../../../src/attach/connectors/brick/brick-connector.js';
import { startConnector } from '../support/connector.js';
import { writeContent } from '../support/content.js';
import { describeLife, type Volume } from '../support/lifecycle.js';
import { type Fabric, startFabric } from '../targets/fcoe.js';
import { fileBackstore } from '../targets/lio.js';

const MIB = 8;
const SERIAL = '11112222-3333-4444-5555-666677778888';

let connector: BrickConnector;
let fabric: Fabric;
let volume: Volume;

// The fabric goes with the machine: an FCoE link that is taken down leaves its remote ports for a minute.
before(async () => {
  const digest = writeContent('/tmp/volume-1', MIB, 'volume 1');
  fabric = await startFabric((target) => {
    // LUN 1 alone, so that it is os-brick's scan that finds it.
    target.map(1, fileBackstore('volume-1', '/tmp/volume-1', MIB * 2 ** 20, SERIAL));
  });
  const info = {
    driver_volume_type: 'fibre_channel',
    target_wwn: [fabric.wwpn],
    target_lun: 1,
    initiator_target_map: { [fabric.initiator]: [fabric.wwpn] },
  };
  volume = { id: 'volume-1', info, mib: MIB, digest };
  connector = await startConnector();
});

describe('Fibre Channel', () => {
  it('tells Cinder the ports of this host', async () => {
    assert.ok(((await connector.properties()).wwpns as string[]).includes(fabric.initiator));
  });

  describeLife(
    { connector: () => connector, volume: () => volume, losesFrames: true },
    { ids: ['naa.60014051111222233334444555566667', `serial.${SERIAL}`] },
  );
});
