import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { hold } from '../../src/attach/lifecycle/live-attachment.js';
import { proveHeld } from '../../src/attach/lifecycle/proving.js';
import { LocalConnector } from '../../src/attach/connectors/local/local-connector.js';
import { AttachWorld } from '../fakes/attach-world.js';

const never = new AbortController().signal;

describe('the local connector', () => {
  let directory = '';
  let connector = new LocalConnector();
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'cinderfs-local-'));
    connector = new LocalConnector([directory]);
    await writeFile(join(directory, 'volume'), 'bytes of v1 and more');
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const local = (path: unknown): { driver_volume_type: string; device_path: unknown } => ({
    driver_volume_type: 'local',
    device_path: path,
  });

  it('serves the path that Cinder names', async () => {
    const info = local(join(directory, 'volume'));
    assert.equal(await connector.refusal(info), undefined);
    const { source, size, read } = await connector.connect({ volumeId: 'v1', info, signal: never });
    const { dev, ino } = await stat(join(directory, 'volume'));
    const path = join(directory, 'volume');
    assert.deepEqual(source, { kind: 'file', path, beneath: directory, inode: `${dev}:${ino}` });
    assert.equal(await size(), 20);
    assert.equal((await read(9, 2)).toString(), 'v1');
    await assert.rejects(read(19, 2), { code: 'connector_failed' });
  });

  it('refuses what is not there, is no file, or is no honest path', async () => {
    for (const path of [join(directory, 'absent'), 'volume', `${directory}/../x`, `${directory}//volume`, 7])
      assert.equal((await connector.refusal(local(path)))?.code, 'connector_failed', String(path));
    await assert.rejects(connector.connect({ volumeId: 'v1', info: local(directory), signal: never }), {
      code: 'connector_failed',
    });
    assert.equal((await connector.refusal({ driver_volume_type: 'iscsi' }))?.code, 'protocol_unsupported');
  });

  it('leaves a share that is not mounted, and a format that must be decoded, to others', async () => {
    const share = { driver_volume_type: 'nfs', export: 'nfs.example.com:/none', name: 'volume-1' };
    assert.equal((await connector.refusal(share))?.code, 'protocol_unsupported');
    assert.equal((await connector.refusal({ ...share, format: 'qcow2' }))?.code, 'protocol_unsupported');
  });

  it('is caught when another file takes the place of the volume, even one with the same bytes', async () => {
    const world = new AttachWorld();
    const { id: imageId, name: imageName, size: imageSize, volumeId } = world.addImage('v1');
    const info = local(join(directory, 'volume'));
    const connected = await connector.connect({ volumeId, info, signal: never });
    const state = { step: 'attached', since: 0, before: [], answered: true, multiattach: true } as const;
    const held = hold(
      { version: 1, volumeId, imageId, imageName, imageSize, ...state },
      connector,
      connected,
    );
    await proveHeld(held, world.context);
    await proveHeld(held, world.context);
    await writeFile(join(directory, 'impostor'), 'bytes of v1 and more');
    await rename(join(directory, 'impostor'), join(directory, 'volume'));
    await assert.rejects(proveHeld(held, world.context), { code: 'identity_mismatch' });
  });

  it('adopts what is still there', async () => {
    const path = join(directory, 'volume');
    const info = local(path);
    const { host } = await connector.connect({ volumeId: 'v1', info, signal: never });
    assert.ok(await connector.adopt(host));
    assert.ok(await connector.adopt({ path }), 'as an older version noted it');
    await writeFile(join(directory, 'impostor'), 'bytes of v1 and more');
    await rename(join(directory, 'impostor'), path);
    assert.equal(await connector.adopt(host), undefined, 'another file by that name');
    await rm(path);
    assert.equal(await connector.adopt({ path }), undefined);
    await symlink('/dev/null', path);
    assert.equal(await connector.adopt({ path }), undefined);
  });
});
