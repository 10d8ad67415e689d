import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { CinderfsError } from '../../src/errors.js';
import { startDevcloud } from '../../devcloud/devcloud.js';
import { attachmentId, Client, cloudFor, temporaryDirectory } from './client.js';

describe('a restart', () => {
  it('keeps ids, attachments, deletions and changes', async (t) => {
    const dir = await temporaryDirectory(t);
    await mkdir(join(dir, 'images'));
    for (const name of ['kept', 'deleted']) await writeFile(join(dir, 'images', `${name}.raw`), name);
    const first = await cloudFor(t, { dir });
    const named = (name: string) => [...first.cloud.images.values()].find((image) => image.name === name);
    const kept = named('kept');
    const deleted = named('deleted');
    assert.ok(kept?.volumeId !== undefined && deleted !== undefined);
    const client = await Client.login(first);
    const id = attachmentId(await client.reserve(kept.volumeId));
    await client.complete(id);
    await first.adminFaults.deleteImage(deleted.id);
    await first.close();

    const second = await cloudFor(t, { dir });
    assert.equal(second.cloud.attachments.get(id)?.status, 'attached');
    assert.equal(second.cloud.volumes.get(kept.volumeId)?.status, 'in-use');
    assert.equal(second.cloud.images.get(kept.id)?.status, 'active');
    assert.equal(second.cloud.images.get(deleted.id)?.status, 'deleted', 'its file is still there');
    const stale = new Client(second.url, client.token, client.projectId);
    assert.equal((await stale.cinder('GET', '/volumes')).status, 401, 'tokens die with the process');
  });

  it('from the files alone gives the same ids', async (t) => {
    const dir = await temporaryDirectory(t);
    await mkdir(join(dir, 'images'));
    await writeFile(join(dir, 'images', 'web.raw'), 'bytes');
    const first = await cloudFor(t, { dir });
    const before = [...first.cloud.images.keys(), ...first.cloud.volumes.keys()];
    await first.close();
    await rm(join(dir, 'state.json'));
    const second = await cloudFor(t, { dir });
    assert.deepEqual([...second.cloud.images.keys(), ...second.cloud.volumes.keys()], before);
  });

  it('is refused, with the reason, on a bad state file, a bad sidecar, a file for a directory, a port in use', async (t) => {
    const dir = await temporaryDirectory(t);
    const refused = async (options: Parameters<typeof startDevcloud>[0], reason: RegExp): Promise<void> => {
      await assert.rejects(startDevcloud(options), (error) => {
        assert.ok(CinderfsError.is(error));
        assert.equal(error.code, 'config_invalid');
        assert.match(error.message, reason);
        return true;
      });
    };
    const running = await cloudFor(t);
    await refused({ dir, port: running.port }, /cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/);
    await writeFile(join(dir, 'state.json'), '{"version":9}');
    await refused({ dir }, /state\.json is not a devcloud state file/);
    await rm(join(dir, 'state.json'));
    await writeFile(join(dir, 'images', 'web.json'), 'not json');
    await writeFile(join(dir, 'images', 'web.raw'), 'bytes');
    await refused({ dir }, /web\.json is not an image spec/);
    await refused({ dir: join(dir, 'images', 'web.raw') }, /cannot keep a cloud in .*web\.raw/);
  });
});
