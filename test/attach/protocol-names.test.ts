/** What Cinder says is a key from outside: no connector may find more than its own entries by it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { brickPlan, brickSpeaks } from '../../src/attach/connectors/brick/brick-plan.js';
import { LocalConnector } from '../../src/attach/connectors/local/local-connector.js';
import { qemuBlocks, qemuSpeaks } from '../../src/attach/connectors/qemu/qemu-block.js';
import { besides, volumeFileOf } from '../../src/attach/connection/volume-file.js';
import { formatOf } from '../../src/attach/connection/volume-format.js';

const HOST = { initiator: '', cephDirectory: '' };

describe('a protocol that is a property of every object', () => {
  for (const protocol of ['constructor', 'toString', '__proto__', 'hasOwnProperty', 'valueOf'])
    it(`is refused as unknown: ${protocol}`, async () => {
      const info = { driver_volume_type: protocol };
      assert.equal(qemuSpeaks(protocol), false);
      assert.equal(brickSpeaks(protocol), false);
      await assert.rejects(qemuBlocks(info, HOST), { code: 'protocol_unsupported' });
      assert.throws(() => brickPlan(info), { code: 'protocol_unsupported' });
      assert.equal((await new LocalConnector().refusal(info))?.code, 'protocol_unsupported');
    });
});

describe('a format', () => {
  for (const protocol of ['rbd', 'iscsi', 'iser', 'fibre_channel', 'nvmeof', 'storpool'])
    it(`other than raw is refused where the driver cannot mean it: ${protocol}`, () => {
      assert.equal(formatOf({ driver_volume_type: protocol }), 'raw');
      assert.equal(formatOf({ driver_volume_type: protocol, format: 'raw' }), 'raw');
      for (const format of ['qcow2', 'vmdk', 'constructor', 7, null])
        assert.throws(() => formatOf({ driver_volume_type: protocol, format }), {
          code: 'protocol_unsupported',
        });
    });
});

describe('the file of a volume', () => {
  const base = 'volume-1e035fa6-7d97-400f-aa2d-cea1d44e4461';
  const overlay = `${base}.2f1c7b7e-0f5c-4d0a-9d57-000000000001`;
  const told = { export: '192.0.2.1:/volumes', format: 'raw' };

  for (const protocol of ['nfs', 'glusterfs', 'quobyte', 'vzstorage'])
    it(`is the one that is opened, not one of a path beside it: ${protocol}`, () => {
      const info = { driver_volume_type: protocol, ...told, name: overlay, device_path: `/x/${base}` };
      assert.equal(formatOf(info), 'qcow2');
      assert.equal(formatOf({ ...info, name: base, device_path: `/x/${overlay}` }), 'raw');
      assert.equal(volumeFileOf(besides(info, base)).name, base);
    });

  for (const protocol of ['local', 'gpfs'])
    it(`is the one that is opened, not one of a name beside it: ${protocol}`, () => {
      const info = { driver_volume_type: protocol, ...told, name: base, device_path: `/x/${overlay}` };
      assert.equal(formatOf(info), 'qcow2');
      assert.equal(formatOf({ ...info, name: overlay, device_path: `/x/${base}` }), 'raw');
      assert.equal(besides(info, base).device_path, `/x/${base}`);
    });
});
