/**
 * Volumes with snapshots on the real OpenStack: Cinder's NFS driver spreads their bytes over files, on raw and on qcow2
 * volumes; read by libnfs in qemu-nbd (auto) and over a mount (brick).
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { open, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { Mounted, run } from '../support/program.js';
import { someBytes } from '../support/seeds.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';
import { OwnImages, type OwnImage } from './own-images.js';

const MIB = 2 ** 20;
const KINDS = {
  raw: { volumeType: 'nfs', store: 'cinder-nfs' },
  qcow2: { volumeType: 'nfs-qcow2', store: 'cinder-nfs' },
} as const;

interface Lab {
  readonly nfs_export: string;
}

describe('a volume with snapshots', { timeout: 600_000 }, () => {
  let share = '';
  before(async () => {
    assert.equal(process.env.CINDERFS_TEST_CLOUD, 'lab', 'npm run test:openstack runs this');
    const lab = JSON.parse(await readFile(process.env.CINDERFS_LAB ?? '', 'utf8')) as Lab;
    share = lab.nfs_export.replace(/^[^:]*:/, '');
  });

  const at = (name: string): string => path.join(share, name);

  /** What a guest writes to the volume at byte `offset`: into the file that Cinder has made the active one. */
  async function put(name: string, format: string, source: string, offset: number): Promise<void> {
    const bytes = await readFile(source);
    if (format === 'qcow2') {
      const command = `write -s ${source} ${offset} ${bytes.length}`;
      execFileSync('qemu-io', ['-f', 'qcow2', '-c', command, at(name)], { stdio: 'pipe' });
      return;
    }
    const file = await open(at(name), 'r+');
    await file.write(bytes, 0, bytes.length, offset);
    await file.sync();
    await file.close();
  }

  async function mount(undo: Undo, connector: string): Promise<Mounted> {
    const env = {
      OS_AUTH_URL: 'http://127.0.0.1:5000/v3',
      OS_USERNAME: 'cinderfs',
      OS_PASSWORD: 'cinderfs',
      OS_PROJECT_NAME: 'service',
      OS_USER_DOMAIN_NAME: 'Default',
      OS_PROJECT_DOMAIN_NAME: 'Default',
      CINDERFS_CONNECTOR: connector,
    };
    return Mounted.start({ dir: await temporaryFolder(undo), env, test: undo });
  }

  for (const [format, kind] of Object.entries(KINDS))
    it(`is read through all of its files, on a volume in ${format}`, async (t) => {
      const undo = new Undo(t);
      const dir = await temporaryFolder(undo);
      const images = OwnImages.sharing(await OwnImages.connect(undo), undo);
      const parts = [0, 1, 2].map((part) => ({ part, bytes: someBytes(MIB + 512 * part) }));
      const source = path.join(dir, 'all');
      await writeFile(source, Buffer.concat(parts.map(({ bytes }) => bytes)));
      const snapshots: string[] = [];
      const image = await images.register(
        kind,
        { name: `test-snapshots-${format}`, diskFormat: 'raw', source },
        async (volume) => {
          let offset = 0;
          for (const { part, bytes } of parts) {
            const piece = path.join(dir, `part-${part}`);
            await writeFile(piece, bytes);
            if (part > 0) snapshots.push(await images.snapshot(volume, undo));
            const last = snapshots.at(-1);
            const name = last === undefined ? `volume-${volume}` : `volume-${volume}.${last}`;
            await put(name, last === undefined ? format : 'qcow2', piece, offset);
            offset += bytes.length;
          }
        },
      );
      const [first = '', second = ''] = snapshots.map((id) => `volume-${image.volumeId}.${id}`);
      for (const connector of ['auto', 'brick']) {
        const mounted = await mount(undo, connector);
        await hasHash(mounted, image);
        assert.equal(await mounted.stop(), 0, mounted.said.slice(-20).join('\n'));
      }

      // A header that leads to a file that Cinder knows nothing of: Cinder refuses it, or we do.
      const mounted = await mount(undo, 'auto');
      const overlay = await readFile(at(second));
      execFileSync('cp', [at(first), at('volume-of-nobody')]);
      undo.after(() => run('rm', [at('volume-of-nobody')]));
      execFileSync('qemu-img', ['rebase', '-u', '-b', 'volume-of-nobody', '-F', 'qcow2', at(second)]);
      const { status, stdout } = await run('cat', [mounted.at(image.id)]);
      await writeFile(at(second), overlay, { flag: 'r+' });
      assert.notEqual(status, 0);
      assert.equal(stdout, '');
      assert.ok(
        mounted.said.some((line) =>
          /volume-of-nobody.*(no snapshot of this volume|invalid backing file)/.test(line),
        ),
        mounted.said.slice(-20).join('\n'),
      );
      await hasHash(mounted, image);
      assert.equal(await mounted.stop(), 0, mounted.said.slice(-20).join('\n'));
    });
});

async function hasHash(mounted: Mounted, { id, name, hashAlgorithm, hashValue }: OwnImage): Promise<void> {
  const bytes = await readFile(mounted.at(id)).catch((error: unknown) =>
    assert.fail(`${name}: ${String(error)}\n${mounted.said.slice(-20).join('\n')}`),
  );
  assert.equal(createHash(hashAlgorithm).update(bytes).digest('hex'), hashValue, name);
}
