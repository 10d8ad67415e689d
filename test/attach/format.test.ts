/** Whatever format a volume is in and whatever is inside of it: what is served has the hash that Glance has. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { open, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../src/async/clock.js';
import type { Source } from '../../src/sources/contract/source.js';
import type { PoolOptions } from '../../src/attach/pool-options.js';
import { type Devcloud, startDevcloud } from '../../devcloud/devcloud.js';
import type { ImageSpec } from '../../devcloud/image-spec.js';
import type { Image } from '../../devcloud/model.js';
import { ServerLink } from '../../src/attach/connectors/qemu/server-link.js';
import { someBytes } from '../support/seeds.js';
import { VolumeEndpoint } from '../../src/cinder/volumes/microversion.js';
import { temporaryFolder } from '../support/temporary.js';
import { stayAwake } from '../support/time.js';
import { Undo } from '../support/undo.js';
import { poolOnCloud } from './pool-on-cloud.js';

const MiB = 2 ** 20;
const FORMATS = [undefined, 'raw', 'qcow2'] as const;
/** What the image is; volumes have 1 GiB. */
const CONTENTS = ['raw', 'qcow2 of 1 GiB', 'qcow2 of 3 MiB'] as const;

describe('the bytes of an image', { timeout: 300_000 }, () => {
  const test = new Undo({ after: (run) => after(run) });
  let directory = '';
  let cloud: Devcloud;
  let pools = 0;

  before(async () => {
    directory = await temporaryFolder(test);
    stayAwake(test);
    cloud = await startDevcloud({ dir: join(directory, 'cloud') });
    test.after(() => cloud.close());
    await writeFile(join(directory, 'raw'), someBytes(3 * MiB + 17));
    await writeFile(join(directory, 'disk'), someBytes(3 * MiB));
    const image = (): string => join(directory, 'qcow2 of 3 MiB');
    execFileSync('qemu-img', ['convert', '-O', 'qcow2', join(directory, 'disk'), image()]);
    execFileSync('qemu-img', ['convert', '-O', 'qcow2', image(), join(directory, 'qcow2 of 1 GiB')]);
    execFileSync('qemu-img', ['resize', join(directory, 'qcow2 of 1 GiB'), '1G']);
  });

  const cases = (['auto', 'local', 'qemu'] as const)
    .flatMap((connector) => FORMATS.map((volumeFormat) => ({ connector, volumeFormat })))
    .flatMap((each) => CONTENTS.map((content) => ({ ...each, content })))
    .filter(({ connector, volumeFormat }) => connector !== 'local' || volumeFormat !== 'qcow2');
  for (const { connector, volumeFormat, content } of cases)
    it(`are Glance's: ${content} in a volume of format ${volumeFormat ?? 'unsaid'}, by ${connector}`, async () => {
      const name = `${content} ${volumeFormat ?? ''} ${connector}`;
      const image = await added({ name, ...(volumeFormat && { volumeFormat }) }, content);
      assert.equal(await servedHash(image, connector), image.hashValue);
    });

  for (const volumeFormat of ['raw', 'qcow2'] as const)
    for (const content of CONTENTS)
      it(`are Glance's: ${content} in a volume of format ${volumeFormat} with snapshots`, async () => {
        const image = await added({ name: `${content} ${volumeFormat} snapshots`, volumeFormat }, content);
        const snapshots = [await snapshotOf(image), await snapshotOf(image)];
        assert.equal(await servedHash(image, 'auto'), image.hashValue);
        await withoutSnapshot(snapshots[0] ?? '');
        // As with Cinder: qemu-img merges into what it takes for a disk, and makes the image in the volume larger.
        if (volumeFormat === 'raw' && content === 'qcow2 of 3 MiB')
          return assert.rejects(servedHash(image, 'auto'), { code: 'identity_mismatch' });
        assert.equal(await servedHash(image, 'auto'), image.hashValue, 'once the lower one was merged');
        await withoutSnapshot(snapshots[1] ?? '');
        assert.equal(await servedHash(image, 'auto'), image.hashValue, 'without any');
      });

  it('are not handed out by a connector that decodes nothing', async () => {
    const image = await added({ name: 'refused', volumeFormat: 'qcow2' }, 'raw');
    await assert.rejects(servedHash(image, 'local'), { code: 'protocol_unsupported' });
  });

  for (const connector of ['auto', 'local', 'qemu'] as const)
    it(`are refused, by ${connector}, where the volume is encrypted and nothing tells ciphertext from the image`, async () => {
      const luks = Buffer.alloc(MiB, 'LUKS\xba\xbe\0\x02', 'latin1');
      const properties = { cinder_encryption_key_id: '7f0d6a1c-0000-4000-8000-000000000000' };
      for (const spec of [{ encrypted: true }, { properties }]) {
        const unsure = await cloud.addImage(
          { name: 'luks', hashAlgorithm: null, hashValue: null, ...spec },
          { data: luks },
        );
        await assert.rejects(servedHash(unsure, connector), { code: 'volume_encrypted' });
        const wrong = await cloud.addImage(
          { name: 'luks', hashValue: '0'.repeat(128), ...spec },
          { data: luks },
        );
        await assert.rejects(servedHash(wrong, connector), { code: 'volume_encrypted' });
        const right = await cloud.addImage({ name: 'luks', ...spec }, { data: luks });
        assert.equal(await servedHash(right, connector), right.hashValue);
      }
    });

  const added = (spec: ImageSpec, content: string): Promise<Image> =>
    cloud.addImage(
      { diskFormat: content.startsWith('qcow2') ? 'qcow2' : 'raw', ...spec },
      { file: join(directory, content) },
    );

  /** What a user of Cinder asks for. */
  const asked = async (method: 'POST' | 'DELETE', path: string, body?: unknown): Promise<unknown> => {
    const pool = await poolOnCloud(cloud.env, join(directory, String(++pools)));
    try {
      const endpoint = new VolumeEndpoint(pool.openstack.session, '3.69');
      return (await endpoint.request({ method, path, body, repeat: 'unsent' })).body;
    } finally {
      await pool.close();
    }
  };
  const snapshotOf = async ({ volumeId }: Image): Promise<string> => {
    const body = { snapshot: { volume_id: volumeId } };
    return ((await asked('POST', '/snapshots', body)) as { snapshot: { id: string } }).snapshot.id;
  };
  const withoutSnapshot = (id: string): Promise<unknown> => asked('DELETE', `/snapshots/${id}`);

  /** Opens the image as a mount would, reads it all, and leaves nothing. */
  async function servedHash(image: Image, connector: PoolOptions['connector']): Promise<string> {
    const folder = join(directory, String(++pools)); // sockets have short paths
    const pool = await poolOnCloud(cloud.env, folder, {
      connector,
      connectors: undefined,
      verifyLimit: 64 * MiB,
    });
    try {
      const { images } = await pool.openstack.catalog.refresh();
      const known = images.get(image.id);
      assert.ok(known);
      const lease = await pool.service.acquire(known, {});
      try {
        return createHash('sha512')
          .update(await readAll(lease.source, known.size))
          .digest('hex');
      } finally {
        lease.release();
      }
    } finally {
      await pool.service.drain({ deadlineMs: 20_000 });
      await pool.close();
      assert.deepEqual(await readdir(join(folder, 'run', 'nbd')).catch(() => []), []);
    }
  }
});

async function readAll(source: Source, size: number): Promise<Buffer> {
  if (source.kind === 'nbd') {
    const client = await ServerLink.open(source, {
      clock: systemClock,
      ms: 10_000,
    });
    const bytes = await client.read(0, size);
    client.close();
    return bytes;
  }
  assert.equal(source.kind, 'file');
  const file = await open('path' in source ? source.path : '');
  const { buffer } = await file.read(Buffer.alloc(size), 0, size, 0);
  await file.close();
  return buffer;
}
