/** An image whose volume Cinder keeps as qcow2, through a real mount: two processes below, the image's bytes above. */
import assert from 'node:assert/strict';
import { open, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Confinement } from '../../src/attach/connectors/qemu/confinement.js';
import { findProcesses } from '../../src/sys/processes/find-processes.js';
import { type Devcloud, startDevcloud } from '../../devcloud/devcloud.js';
import type { Image } from '../../devcloud/model.js';
import { sha256 } from '../support/cloud.js';
import { eventually } from '../support/eventually.js';
import { Mounted, run } from '../support/program.js';
import { someBytes } from '../support/seeds.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

const MiB = 2 ** 20;
const SIZE = 9 * MiB + 12_345;

describe('an image in a qcow2 volume', { timeout: 300_000 }, () => {
  const test = new Undo({ after: (stop) => after(stop) });
  let dir: string;
  let cloud: Devcloud;
  let mounted: Mounted;
  let image: Image;
  let source: string;

  before(async () => {
    dir = await temporaryFolder(test);
    source = path.join(dir, 'source');
    await writeFile(source, someBytes(SIZE));
    cloud = await startDevcloud({ dir: path.join(dir, 'cloud') });
    test.after(() => cloud.close());
    image = await cloud.addImage({ name: 'decoded', volumeFormat: 'qcow2' }, { file: source });
    mounted = await Mounted.start({ dir, env: { ...cloud.env, CINDERFS_LINGER: '1' }, test });
  });

  const file = (): string => mounted.at(image.id);
  const decoders = (socket: string): Promise<readonly number[]> =>
    findProcesses('qemu-nbd', `--description=${socket}`, [Confinement.uidFor(socket)]);
  const processes = async (): Promise<number> => (await pids()).length;
  const pids = async (): Promise<readonly number[]> => {
    const socket = path.join(dir, 'run', await runDir(), 'nbd', `${image.volumeId ?? ''}.sock`);
    const raw = findProcesses('qemu-nbd', `--socket=${socket.replace(/sock$/, 'raw')}`);
    return [...(await raw), ...(await decoders(socket))];
  };
  const runDir = async (): Promise<string> => {
    const found = await readdir(path.join(dir, 'run'), { withFileTypes: true });
    return found.find((each) => each.isDirectory())?.name ?? '';
  };
  const released = (): Promise<unknown> =>
    eventually('it is detached', async () =>
      cloud.cloud.attachments.size === 0 && (await processes()) === 0 ? true : undefined,
    );

  it('is read as it is by every tool', async () => {
    const copy = path.join(dir, 'copy');
    for (const flags of [[], ['iflag=direct']]) {
      const args = [`if=${file()}`, `of=${copy}`, 'bs=1M', ...flags, 'status=none'];
      assert.deepEqual(await run('dd', args), { status: 0, stdout: '', stderr: '' });
      assert.equal(await sha256(copy), await sha256(source));
    }
    const compared = await run('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', file(), source]);
    assert.equal(compared.status, 0, compared.stdout + compared.stderr);
    await released();
  });

  it('is read right at any offset, by several at once', async () => {
    const bytes = await readFile(source);
    const handle = await open(file());
    try {
      assert.equal(await processes(), 2);
      const offsets = [0, 1, 4095, 65_535, 65_536, MiB - 1, 5 * MiB + 7, SIZE - 4097, SIZE - 1];
      const reads = offsets.flatMap((at) => [1, 4096, 70_000].map((length) => ({ at, length })));
      for (const { buffer, bytesRead, at, length } of await Promise.all(
        reads.map(async (each) => ({
          ...each,
          ...(await handle.read(Buffer.alloc(each.length), 0, each.length, each.at)),
        })),
      ))
        assert.ok(
          buffer.subarray(0, bytesRead).equals(bytes.subarray(at, at + length)),
          `${length} at ${at}`,
        );
    } finally {
      await handle.close();
    }
    await released();
  });

  it('is read on by who has it open when the engine is killed, through the same two processes', async () => {
    const bytes = await readFile(source);
    const handle = await open(file());
    try {
      const [engine, before] = [(await mounted.status()).engine_pid, await pids()];
      process.kill(engine, 'SIGKILL');
      const { buffer } = await handle.read(Buffer.alloc(MiB), 0, MiB, 3 * MiB + 5);
      assert.ok(buffer.equals(bytes.subarray(3 * MiB + 5, 4 * MiB + 5)));
      await eventually('another engine serves', async () => {
        const serving = await mounted.status().catch(() => undefined);
        return serving !== undefined && serving.engine_pid !== engine ? true : undefined;
      });
      assert.deepEqual(await pids(), before);
      const later = await handle.read(Buffer.alloc(MiB), 0, MiB, 8 * MiB + 1);
      assert.ok(later.buffer.equals(bytes.subarray(8 * MiB + 1, 9 * MiB + 1)));
    } finally {
      await handle.close();
    }
    await released();
  });

  it('is fetched anew when a process of it ends under a reader', async () => {
    const bytes = await readFile(source);
    const handle = await open(file());
    try {
      const socket = path.join(dir, 'run', await runDir(), 'nbd', `${image.volumeId ?? ''}.sock`);
      const [decoder] = await decoders(socket);
      assert.ok(decoder);
      process.kill(decoder, 'SIGKILL');
      const { buffer } = await handle.read(Buffer.alloc(MiB), 0, MiB, 6 * MiB + 1);
      assert.ok(buffer.equals(bytes.subarray(6 * MiB + 1, 7 * MiB + 1)));
      await eventually('both run again', async () => ((await processes()) === 2 ? true : undefined));
    } finally {
      await handle.close();
    }
    await released();
    assert.deepEqual(await readdir(path.join(dir, 'run', await runDir(), 'nbd')), []);
  });
});
