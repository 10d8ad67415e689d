import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import type { BrickConnector } from '../../../src/attach/connectors/brick/brick-connector.js';
import { eventually } from '../../support/eventually.js';
import { loadModules } from '../support/command.js';
import { startConnector } from '../support/connector.js';
import { sha256Of, writeContent } from '../support/content.js';
import { leftovers } from '../support/leftovers.js';
import { connect, describeLife, pathOf, type Volume } from '../support/lifecycle.js';
import { NvmeTarget } from '../targets/nvmet.js';

const MIB = 8;
const NQN = 'nqn.2026-01.test.lab:array';
const UUID = '22222222-3333-4444-5555-666666666666';
const HOST_ID = '11111111-2222-3333-4444-555555555555';
const HOST_NQN = `nqn.2014-08.org.nvmexpress:uuid:${HOST_ID}`;
const PORTS = [
  { address: '127.0.0.1', service: 4420 },
  { address: '127.0.0.2', service: 4420 },
];

let connector: BrickConnector;
let target: NvmeTarget;
let volume: Volume;

before(async () => {
  mkdirSync('/etc/nvme', { recursive: true });
  writeFileSync('/etc/nvme/hostnqn', `${HOST_NQN}\n`);
  writeFileSync('/etc/nvme/hostid', `${HOST_ID}\n`);
  loadModules('nvmet', 'nvmet_tcp', 'nvme_fabrics', 'nvme_tcp', 'loop');
  const digest = writeContent('/tmp/volume-1', MIB, 'volume 1');
  target = new NvmeTarget(NQN, HOST_NQN, PORTS);
  target.addNamespace(1, '/tmp/volume-1', UUID);
  const info = {
    driver_volume_type: 'nvmeof',
    target_nqn: NQN,
    vol_uuid: UUID,
    portals: PORTS.map(({ address, service }) => [address, String(service), 'tcp']),
    ns_id: 1,
    replica_count: 1,
    volume_replicas: [],
  };
  volume = { id: 'volume-1', info, mib: MIB, digest };
  connector = await startConnector({ multipath: true });
});
after(() => target.remove());

describe('NVMe over TCP with native multipath', () => {
  it('tells Cinder the NQN of this host', async () => {
    assert.equal((await connector.properties()).nqn, HOST_NQN);
  });

  describeLife(
    { connector: () => connector, volume: () => volume },
    { ids: [`uuid.${UUID.replaceAll('-', '')}`] },
  );

  it('goes on reading when a path goes, and leaves nothing', async () => {
    const connected = await connect(connector, volume);
    target.closePort(1);
    assert.equal(sha256Of(pathOf(connected), MIB), volume.digest);
    assert.equal(await connected.object(), connected.host.identity);
    target.openPort(1);
    await connector.disconnect(connected.host);
    await eventually('nothing is left', () => Promise.resolve(leftovers().length === 0 ? true : undefined));
  });

  it('refuses another namespace under the same number', async () => {
    writeContent('/tmp/foreign', MIB, 'somebody else');
    const connected = await connect(connector, volume);
    const proven = await connected.object();
    target.removeNamespace(1);
    target.addNamespace(1, '/tmp/foreign', UUID.replace('2222', 'ffff'));
    await eventually('another identity or none', async () => {
      const seen = await connected.object().catch((error: unknown) => String(error));
      return seen === proven ? undefined : seen;
    });
    await connector.disconnect(connected.host);
    await assert.rejects(connect(connector, volume));
    target.removeNamespace(1);
    target.addNamespace(1, '/tmp/volume-1', UUID);
    const again = await connect(connector, volume);
    assert.equal(sha256Of(pathOf(again), MIB), volume.digest);
    await connector.disconnect(again.host);
    assert.deepEqual(leftovers(), []);
  });
});
