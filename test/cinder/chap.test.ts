import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { qemuBlocks } from '../../src/attach/connectors/qemu/qemu-block.js';
import { brickPlan, withSecrets } from '../../src/attach/connectors/brick/brick-plan.js';
import { AttachmentsClient } from '../../src/cinder/volumes/attachments.js';
import { VolumeEndpoint } from '../../src/cinder/volumes/microversion.js';
import { knownSecrets } from '../../src/known-secrets.js';
import { harness, token } from './session-harness.js';

const ID = '11111111-2222-4333-8444-555555555555';
const CHAP = 'chap pass"word-7';

describe('the CHAP secret of a volume', () => {
  it('cannot be printed from where Cinder gives it to where it is used', async (t) => {
    const info = {
      driver_volume_type: 'iscsi',
      target_portal: '10.0.0.1:3260',
      target_iqn: 'iqn.2010-10.org.openstack:volume-1',
      target_lun: 1,
      auth_method: 'CHAP',
      auth_username: 'chap-user',
      auth_password: CHAP,
      encryption: { secret_uuid: ID, passphrases: [{ key: `${CHAP}-deep` }] },
    };
    const attachment = { id: ID, volume_id: ID, status: 'attaching', connection_info: info };
    const { session, clock, service } = await harness(t, {
      login: token,
      override: 'own',
      api: () => ({ body: { attachment, versions: [{ id: 'v3.0', version: '3.69' }] } }),
    });
    const endpoint = new VolumeEndpoint(session, '3.69');
    const client = new AttachmentsClient({ endpoint, clock, timeoutMs: 10_000 });
    const { connectionInfo } = await client.show(ID);
    assert.ok(connectionInfo !== undefined && service.requests.length > 0);
    for (const shown of [
      inspect(connectionInfo, { depth: 9, showHidden: true }),
      JSON.stringify(connectionInfo),
    ]) {
      assert.ok(!shown.includes('word-7'), shown);
      assert.ok(shown.includes('chap-user') && shown.includes(ID));
    }
    assert.equal(knownSecrets.hide(`iscsiadm -v ${CHAP} failed`), 'iscsiadm -v <redacted> failed');

    const [block] = await qemuBlocks(connectionInfo, {
      initiator: 'iqn.1994-05.x:y',
      cephDirectory: '/nowhere',
    });
    assert.equal(block?.secret?.value, CHAP);
    assert.equal(withSecrets(brickPlan(connectionInfo), connectionInfo).auth_password, CHAP);
  });
});
