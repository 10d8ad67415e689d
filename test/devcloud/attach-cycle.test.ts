import assert from 'node:assert/strict';
import { stat } from 'node:fs/promises';
import { describe, it } from 'node:test';

import { pick, pickText } from '../../devcloud/json.js';
import { attachmentId, Client, cloudFor, CONNECTOR, firstBytes, messageOf } from './client.js';

const BYTES = Buffer.from('the bytes of an image, not a multiple of anything');

describe('an attachment over HTTP', () => {
  it('goes from reserved over attaching to attached, and back to an available volume', async (t) => {
    const devcloud = await cloudFor(t);
    const image = await devcloud.addImage({ name: 'web' }, { data: BYTES });
    const volumeId = image.volumeId ?? '';
    const client = await Client.login(devcloud);

    const reserved = await client.reserve(volumeId);
    assert.equal(reserved.status, 200);
    assert.deepEqual(pick(reserved.body, 'attachment', 'connection_info'), {});
    assert.equal(await client.volumeStatus(volumeId), 'reserved');

    const id = attachmentId(reserved);
    const connected = await client.connect(id);
    assert.equal(
      pickText(connected.body, 'attachment', 'status'),
      'reserved',
      'the answer is stale, as in Cinder',
    );
    const path = pickText(connected.body, 'attachment', 'connection_info', 'device_path') ?? '';
    assert.equal((await stat(path)).size, 2 ** 30, 'the volume is a whole GiB');
    assert.deepEqual(await firstBytes(path, BYTES.length), BYTES);
    assert.equal(await client.volumeStatus(volumeId), 'attaching');

    assert.equal((await client.complete(id)).status, 204);
    assert.equal(await client.volumeStatus(volumeId), 'in-use');
    const volume = (await client.cinder('GET', `/volumes/${volumeId}`)).body;
    const [entry] = pick(volume, 'volume', 'attachments') as Record<string, unknown>[];
    assert.equal(entry?.attachment_id, id);
    assert.equal(entry.host_name, CONNECTOR.host);
    assert.equal(entry.device, CONNECTOR.mountpoint);

    const deleted = await client.delete(id);
    assert.deepEqual(deleted.body, { attachments: [] });
    assert.equal(await client.volumeStatus(volumeId), 'available');
    assert.equal((await client.delete(id)).status, 404);
  });

  it('refuses a second host between reserve and complete, multiattach or not, in the recorded words', async (t) => {
    const devcloud = await cloudFor(t);
    const client = await Client.login(devcloud);
    for (const [multiattach, allowed] of [
      [true, 'available or in-use or downloading'],
      [false, 'available or downloading'],
    ] as const) {
      const image = await devcloud.addImage({ name: `multi-${multiattach}`, size: 512, multiattach });
      const volumeId = image.volumeId ?? '';
      const id = attachmentId(await client.reserve(volumeId, { connector: CONNECTOR }));
      const second = await client.reserve(volumeId);
      assert.equal(second.status, 400);
      assert.equal(
        messageOf(second),
        `Invalid volume: Volume ${volumeId} status must be ${allowed} to reserve, but the current status is attaching.`,
      );
      await client.complete(id);
      assert.equal((await client.reserve(volumeId)).status, multiattach ? 200 : 400);
    }
  });
});
