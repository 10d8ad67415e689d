import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { brickPlan, withSecrets } from '../../src/attach/connectors/brick/brick-plan.js';
import type { ConnectionInfo } from '../../src/cinder/contract/attachments.js';
import { CinderfsError } from '../../src/errors.js';

const ISCSI: ConnectionInfo = {
  driver_volume_type: 'iscsi',
  target_portal: '192.0.2.1:3260',
  target_iqn: 'iqn.2010-10.org.openstack:volume-1',
  target_lun: 1,
  auth_method: 'CHAP',
  auth_username: 'user',
  auth_password: 'a secret',
  encrypted: false,
};
const NVME: ConnectionInfo = {
  driver_volume_type: 'nvmeof',
  target_nqn: 'nqn.2014-08.org.nvmexpress:uuid:1',
  vol_uuid: '22222222-3333-4444-5555-666666666666',
  portals: [['192.0.2.1', '4420', 'tcp']],
};

describe('what is kept of a connection', () => {
  it('is what os-brick needs to remove it, and no secret', () => {
    const plan = brickPlan(ISCSI);
    assert.deepEqual(plan, {
      driver_volume_type: 'iscsi',
      target_portal: '192.0.2.1:3260',
      target_iqn: 'iqn.2010-10.org.openstack:volume-1',
      target_lun: 1,
    });
    assert.ok(!JSON.stringify(plan).includes('secret'));
    assert.equal(withSecrets(plan, ISCSI).auth_password, 'a secret');
  });

  it('holds every path', () => {
    const portals = ['192.0.2.1:3260', '[2001:db8::1]:3260'];
    const info = { ...ISCSI, target_portals: portals, target_iqns: ['iqn.a', 'iqn.b'], target_luns: [1, 2] };
    assert.deepEqual(brickPlan(info).target_portals, portals);
    const fc = {
      driver_volume_type: 'fibre_channel',
      target_wwn: ['500a098280feeba5'],
      target_lun: 3,
      initiator_target_map: { '21000024ff30441c': ['500a098280feeba5'] },
    };
    assert.deepEqual(brickPlan(fc), fc);
    assert.deepEqual(brickPlan(NVME), NVME);
  });

  it('refuses what is not of the shape that it should have', () => {
    const twisted: readonly object[] = [
      { target_portal: '--op=delete' },
      { target_iqn: 'iqn.x/../../etc' },
      { target_iqn: 'iqn.x;reboot' },
      { target_lun: -1 },
      { target_lun: '1 2' },
      { target_portals: 'not a list' },
    ];
    for (const each of twisted)
      assert.throws(
        () => brickPlan({ ...ISCSI, ...each }),
        (error) => CinderfsError.is(error) && error.code === 'connector_failed',
        JSON.stringify(each),
      );
  });

  it('refuses an NVMe namespace that only its number tells from another', () => {
    const nameless = { driver_volume_type: NVME.driver_volume_type, target_nqn: NVME.target_nqn };
    assert.throws(
      () => brickPlan({ ...nameless, ns_id: 1 }),
      (error) => CinderfsError.is(error) && error.code === 'protocol_unsupported',
    );
  });
});
