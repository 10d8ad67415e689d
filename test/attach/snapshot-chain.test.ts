/** A volume with snapshots on a share: read through the files that Cinder vouches for, and through no other. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFile, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import type { Connected } from '../../src/attach/connection/connector.js';
import { CinderfsError } from '../../src/errors.js';
import { findProcesses } from '../../src/sys/processes/find-processes.js';
import { Undo } from '../support/undo.js';
import { HOSTILE, SECRET } from './crafted-qcow2.js';
import { DecodingScene, isRoot, type Kind, VOLUME } from './decoding-scene.js';
import { BASE, SIZE, SnapshotFiles } from './snapshot-files.js';

const uuid = (n: number): string => `2f1c7b7e-0f5c-4d0a-9d57-${String(n).padStart(12, '0')}`;
const OTHER = 'volume-7d2f1c1c-51d0-4c83-a3a4-6e0d9c4f3b11';
const SNAPSHOTS = [1, 2, 3].map(uuid);
const [S1 = '', S2 = '', S3 = ''] = SNAPSHOTS.map((id) => `${BASE}.${id}`);

describe('a volume with snapshots', { timeout: 600_000 }, () => {
  const test = new Undo({ after: (run) => after(run) });
  let scene: DecodingScene;
  let files: SnapshotFiles;
  before(async () => {
    scene = await DecodingScene.make(test);
    files = new SnapshotFiles(scene);
  });
  beforeEach(() => scene.hideSecret());
  afterEach(async () => {
    for (const name of await readdir(scene.share)) await rm(scene.at(name));
  });

  const chain = (format: 'raw' | 'qcow2'): Promise<Buffer> => files.chain(format, [S1, S2]);

  interface Opened {
    readonly kind?: Kind;
    readonly format?: 'raw' | 'qcow2';
    readonly snapshots?: readonly string[] | undefined;
    readonly compared?: boolean;
  }
  const open = (name: string, opened: Opened = {}): Promise<Connected> => {
    const { kind = 'qemu', format = 'qcow2', compared = true } = opened;
    const snapshots = 'snapshots' in opened ? opened.snapshots : SNAPSHOTS;
    return scene.connect(kind, scene.info(kind, name, format), { snapshots, compared });
  };

  async function served(name: string, opened: Opened = {}): Promise<Buffer> {
    const { read, size, host } = await open(name, opened);
    const bytes = await read(0, await size());
    await scene.connectors[opened.kind ?? 'qemu'].disconnect(host);
    assert.deepEqual(await scene.left(), []);
    return bytes;
  }

  async function isRefused(name: string, why: RegExp, opened: Opened = {}): Promise<void> {
    const failure = await served(name, opened).then(
      (bytes) =>
        assert.fail(`it is served, and begins with ${JSON.stringify(bytes.toString('latin1', 0, 40))}`),
      (error: unknown) => error,
    );
    assert.ok(CinderfsError.is(failure), String(failure));
    assert.equal(failure.code, 'volume_unsafe', failure.toLine());
    assert.match(failure.message, why);
    assert.deepEqual(await scene.left(), []);
    assert.deepEqual(await serversOf(), []);
    assert.ok(await scene.secretIsWhole());
  }

  const serversOf = (): Promise<readonly number[]> =>
    findProcesses('qemu-nbd', `--description=below ${join(scene.folder, 'nbd', `${VOLUME}.sock`)}`);

  for (const kind of ['qemu', 'nfs'] as const)
    describe(`by ${kind}`, { skip: kind === 'nfs' && !isRoot ? 'only root may mount' : false }, () => {
      for (const format of ['raw', 'qcow2'] as const)
        it(`is read as QEMU reads it, on a base in ${format}`, async () => {
          const expected = await chain(format);
          assert.ok((await served(S2, { kind })).equals(expected), 'as Cinder tells it since 2025.2');
          // Until 2025.1 Cinder says what the volume was without them.
          assert.ok((await served(S2, { kind, format })).equals(expected), 'as Cinder told it before');
        });

      it('is not read where the file of a snapshot is missing, or is a link', async () => {
        await chain('raw');
        await rename(scene.at(S1), scene.at('elsewhere'));
        await assert.rejects(served(S2, { kind }), { code: 'connector_failed' });
        execFileSync('ln', ['-s', 'elsewhere', scene.at(S1)]);
        await assert.rejects(served(S2, { kind }), { code: 'connector_failed' });
        assert.deepEqual(await scene.left(), []);
      });
    });

  it('is read where a snapshot that is gone gave its name to the only file', async () => {
    await files.base('qcow2');
    const content = await readFile(join(scene.folder, 'content'));
    await rename(scene.at(BASE), scene.at(S1));
    assert.ok((await served(S1, { snapshots: [] })).equals(content));
  });

  it('is read to its end where the volume was made larger after a snapshot', async () => {
    await files.base('raw');
    files.overlay(S1, BASE, 'raw', 2 * SIZE);
    files.write(S1, 2 * SIZE - 128 * 1024, 0x44);
    assert.ok((await served(S1)).equals(await files.inAll(S1)));
  });

  describe('whose base holds an image in qcow2', () => {
    let image = Buffer.alloc(0);
    beforeEach(async () => {
      await files.base('qcow2');
      image = await readFile(scene.at(BASE));
      // As qemu-img detects it.
      files.overlay(S1, BASE, 'qcow2', 2 * SIZE);
    });

    it('is read as the image where Cinder says that the volume is raw', async () => {
      assert.ok((await served(S1, { format: 'raw' })).subarray(0, image.length).equals(image));
    });

    for (const format of ['raw', 'qcow2'] as const)
      it(`is refused where no hash tells whether the guess is right (${format})`, () =>
        isRefused(S1, /known by no more than its content/, { format, compared: false }));
  });

  describe('whose header', () => {
    const isStrange = /^the volume's qcow2 is not decoded: its header leads to "/;
    const leads: Record<string, (secret: string) => string> = {
      'to a snapshot that Cinder does not list': () => `${BASE}.${uuid(9)}`,
      'to another volume': () => OTHER,
      "to another volume's snapshot": () => `${OTHER}.${uuid(1)}`,
      'to a path in the share': () => `./${BASE}`,
      'to an absolute path': (secret) => secret,
      'to a path that climbs': (secret) => `../../../..${secret}`,
      'by the file protocol': (secret) => `file:${secret}`,
      'to a node in JSON': (secret) =>
        `json:${JSON.stringify({ driver: 'raw', file: { driver: 'file', filename: secret } })}`,
      'to the base, in JSON': () => `json:${JSON.stringify({ driver: 'file', filename: BASE })}`,
      'to a server': () => 'nbd://192.0.2.1/x',
    };
    for (const [what, target] of Object.entries(leads))
      for (const at of ['active', 'lower'] as const)
        it(`leads ${what} is not followed, in the ${at} file`, async () => {
          await files.base('raw');
          await copyFile(scene.at(BASE), scene.at(OTHER));
          await copyFile(scene.at(BASE), scene.at(`${BASE}.${uuid(9)}`));
          files.overlay(at === 'active' ? S2 : S1, target(scene.secret), 'raw');
          if (at === 'lower') files.overlay(S2, S1, 'qcow2');
          await isRefused(S2, isStrange);
        });

    it('leads in a circle is not followed', async () => {
      files.overlay(S1, S2, 'qcow2');
      files.overlay(S2, S1, 'qcow2');
      await isRefused(S2, /in a circle/);
      files.overlay(S1, S1, 'qcow2');
      await isRefused(S1, /in a circle/);
    });

    it('calls files something that they cannot be is not followed', async () => {
      await files.base('raw');
      files.overlay(S1, BASE, 'raw');
      await files.forgetFormat(S1);
      await isRefused(S1, /does not say what format/);
      files.overlay(S1, BASE, 'vmdk');
      await isRefused(S1, /does not say what format/);
      files.overlay(S1, BASE, 'raw');
      files.overlay(S2, S1, 'raw');
      await isRefused(S2, /something else than qcow2/);
    });

    it('is that of the base leads nowhere', async () => {
      files.overlay(S3, OTHER, 'raw');
      files.overlay(BASE, S3, 'qcow2');
      files.overlay(S1, BASE, 'qcow2');
      await isRefused(S1, isStrange);
    });

    it('is one of too many is not followed', async () => {
      await files.base('raw');
      const ids = Array.from({ length: 16 }, (_, n) => uuid(100 + n));
      const names = ids.map((id) => `${BASE}.${id}`);
      for (const [n, name] of names.entries())
        files.overlay(name, names[n - 1] ?? BASE, n === 0 ? 'raw' : 'qcow2');
      await isRefused(names.at(-1) ?? '', /more than 16 files/, { snapshots: ids });
      assert.equal((await served(names.at(-2) ?? '', { snapshots: ids })).length, SIZE);
    });

    it('leads anywhere is not followed where Cinder was not asked', async () => {
      await chain('raw');
      await isRefused(S2, isStrange, { snapshots: undefined });
    });
  });

  for (const { what, make: craft } of HOSTILE)
    for (const [where, name] of [
      ['of a snapshot', S1],
      ['of the volume', BASE],
    ] as const)
      it(`with ${what} as the file ${where} is refused`, async () => {
        await files.base('qcow2');
        files.overlay(S1, BASE, 'qcow2');
        files.overlay(S2, S1, 'qcow2');
        await craft(scene.at(name), scene.secret);
        await isRefused(S2, /is not decoded/);
      });

  it('that QEMU cannot decode is refused in the words of the program that was to do it', async () => {
    await chain('qcow2');
    for (const [name, program] of [
      [S2, 'qemu-storage-daemon'],
      [BASE, 'qemu-nbd'],
    ] as const) {
      const image = await readFile(scene.at(name));
      image.writeUInt32BE(63, 20); // no cluster is so large
      await writeFile(scene.at(name), image);
      const message = new RegExp(`^${program}: (?!qemu-).*[Cc]luster size`);
      await assert.rejects(served(name), { code: 'connector_failed', message });
      assert.deepEqual(await scene.left(), []);
    }
  });

  it('opens nothing that a lower header names once the chain was judged', async () => {
    const expected = await chain('qcow2');
    const { read, host } = await open(S2);
    await HOSTILE[3]?.make(scene.at('hostile'), scene.secret);
    // In place: the descriptors of the servers lead there.
    await writeFile(scene.at(S1), await readFile(scene.at('hostile')), { flag: 'r+' });
    const seen = await read(0, SIZE);
    assert.ok(!seen.includes(SECRET));
    assert.equal(seen.length, expected.length);
    await scene.connectors.qemu.disconnect(host);
  });

  describe('that is connected', () => {
    let host: Connected['host'];
    let connected: Connected;
    let expected: Buffer;
    beforeEach(async () => {
      expected = await chain('raw');
      connected = await open(S2);
      ({ host } = connected);
    });
    afterEach(async () => {
      await scene.successor().disconnect({ socket: host.socket ?? '' });
      assert.deepEqual(await scene.left(), []);
      assert.deepEqual(await serversOf(), []);
    });

    it('is adopted by the next daemon', async () => {
      const adopted = await scene.successor().adopt(host);
      assert.ok((await adopted?.read(0, SIZE))?.equals(expected));
      assert.equal(await adopted?.object(), `${S2}/${S1}/${BASE}`);
    });

    it('is another object once Cinder has merged a snapshot, and is not adopted', async () => {
      assert.equal(await connected.object(), `${S2}/${S1}/${BASE}`);
      // qemu-img itself refuses: the servers hold QEMU's locks. A filer, or an older Cinder, may not ask for any.
      await copyFile(scene.at(S2), scene.at('merged'));
      files.rebase('merged', BASE);
      await writeFile(scene.at(S2), await readFile(scene.at('merged')), { flag: 'r+' });
      assert.notEqual(await connected.object(), `${S2}/${S1}/${BASE}`);
      await assert.rejects(scene.successor().adopt(host), /snapshots of the volume were changed/);
    });

    it('is lost when the server of any of its files ends', async () => {
      const [lower] = await serversOf();
      assert.equal((await serversOf()).length, 2);
      const event = new Promise((resolve) =>
        connected.lost.addEventListener('abort', resolve, { once: true }),
      );
      process.kill(lower ?? 0, 'SIGKILL');
      await event;
      await assert.rejects(scene.successor().adopt(host), { code: 'connector_failed' });
    });
  });
});
