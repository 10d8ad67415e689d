import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  type BrickDevice,
  deviceIdentity,
  judgeDevice,
  designator,
} from '../../src/attach/connectors/brick/brick-identity.js';
import { CinderfsError } from '../../src/errors.js';

const DEVICE: BrickDevice = {
  path: '/dev/sdb',
  size: 2 ** 30,
  diskseq: '12',
  paths: ['sdb'],
  ids: ['naa.624a9370adf8e9c1b2a34a5600011010', 'serial.ADF8E9C1B2A34A5600011010'],
};
const info = (promises: object): { driver_volume_type: string } => ({
  driver_volume_type: 'iscsi',
  ...promises,
});

describe('the identity of a device', () => {
  it('may be written as the array likes it', () => {
    judgeDevice(DEVICE, info({ wwn: '0x624A9370ADF8E9C1B2A34A5600011010' }), 'v');
    const uuid = { ...DEVICE, ids: ['uuid.22222222333344445555666666666666'] };
    judgeDevice(uuid, info({ vol_uuid: '22222222-3333-4444-5555-666666666666' }), 'v');
  });

  it('is fatal when it is another one', () => {
    assert.throws(
      () => judgeDevice(DEVICE, info({ wwn: '624a9370adf8e9c1b2a34a5600011011' }), 'v'),
      (error) =>
        CinderfsError.is(error) && error.code === 'identity_mismatch' && error.context.volume === 'v',
    );
  });

  it('is unknown where the device has none of that kind', () => {
    judgeDevice({ ...DEVICE, ids: [] }, info({ wwn: '624a9370adf8e9c1b2a34a5600011011' }), 'v');
    judgeDevice(DEVICE, info({}), 'v');
  });

  it('is asked for in the words that the device uses', () => {
    assert.equal(designator(DEVICE), '030010624a9370adf8e9c1b2a34a5600011010');
    const nvme = { ...DEVICE, ids: ['eui.0011223344556677', 'uuid.22222222333344445555666666666666'] };
    assert.equal(designator(nvme), '0310000022222222333344445555666666666666');
    assert.equal(designator({ ...DEVICE, ids: ['serial.1', 't10.VENDOR VOLUME'] }), undefined);
  });

  it('changes with the volume behind it and with the disk', () => {
    const reused = { ...DEVICE, ids: ['naa.624a9370adf8e9c1b2a34a5600011099'] };
    const renamed = { ...DEVICE, diskseq: '13' };
    assert.equal(new Set([DEVICE, reused, renamed].map(deviceIdentity)).size, 3);
  });
});
