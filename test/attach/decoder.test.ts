/** Nothing that a volume's bytes say leads to another file, through any connector that decodes. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { systemClock } from '../../src/async/clock.js';
import { Decoder } from '../../src/attach/connectors/qemu/decoder.js';
import { ServerLink } from '../../src/attach/connectors/qemu/server-link.js';
import { CinderfsError } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { QemuNbd } from '../support/qemu-nbd.js';
import { someBytes } from '../support/seeds.js';
import { Undo } from '../support/undo.js';
import { HOSTILE, SECRET } from './crafted-qcow2.js';
import { DecodingScene, isRoot, VOLUME } from './decoding-scene.js';

const NAMES = ['', '.5a1b', '.2f1c7b7e-0f5c-4d0a-9d57-0c8a8b1f6a10'].map((tail) => `volume-${VOLUME}${tail}`);
const [BASE = '', , OVERLAY = ''] = NAMES;
const MiB = 2 ** 20;
const never = new AbortController().signal;

describe('decoding', { timeout: 300_000 }, () => {
  const test = new Undo({ after: (run) => after(run) });
  let scene: DecodingScene;
  const bytes = someBytes(3 * MiB + 512);

  before(async () => {
    scene = await DecodingScene.make(test);
    await writeFile(join(scene.folder, 'content'), bytes);
  });
  beforeEach(async () => {
    await scene.hideSecret();
    for (const name of NAMES)
      execFileSync('qemu-img', ['convert', '-O', 'qcow2', join(scene.folder, 'content'), scene.at(name)]);
  });

  const connect = (): ReturnType<DecodingScene['connect']> => scene.connect('qemu', scene.info('qemu', BASE));

  const cases = (['qemu', 'nfs'] as const).flatMap((kind) => NAMES.map((name) => ({ kind, name })));
  for (const { kind, name } of cases)
    describe(
      `of ${name} by ${kind}`,
      { skip: kind === 'nfs' && !isRoot ? 'only root may mount' : false },
      () => {
        for (const { what, make: craft } of HOSTILE)
          it(`refuses ${what}`, async () => {
            await craft(scene.at(name), scene.secret);
            const failure = await scene.connect(kind, scene.info(kind, name)).then(
              async ({ read, host }) => {
                const seen = (await read(0, SECRET.length)).toString();
                await scene.connectors[kind].disconnect(host);
                return assert.fail(`it was decoded, and begins with ${JSON.stringify(seen)}`);
              },
              (error: unknown) => error,
            );
            assert.ok(CinderfsError.is(failure), String(failure));
            assert.equal(failure.code, 'volume_unsafe', failure.toLine());
            assert.deepEqual(await scene.left(), []);
            assert.ok(await scene.secretIsWhole());
          });

        it('serves what a guest wrote into a raw volume as it is', { skip: name === OVERLAY }, async () => {
          await HOSTILE[0]?.make(scene.at(name), scene.secret);
          const written = await readFile(scene.at(name));
          const connected = await scene.connect(kind, scene.info(kind, name, 'raw'));
          assert.ok((await connected.read(0, 4096)).equals(written.subarray(0, 4096)));
          await scene.connectors[kind].disconnect(connected.host);
          assert.deepEqual(await scene.left(), []);
        });
      },
    );

  it('opens nothing even for a header that nobody judged', async () => {
    const nbd = join(scene.folder, 'nbd');
    await mkdir(nbd, { recursive: true });
    const [server, hostile] = [join(nbd, 'raw'), join(scene.folder, 'hostile')];
    for (const { what, make: craft } of HOSTILE.slice(0, 6)) {
      await craft(hostile, scene.secret);
      const undo = new Undo(test);
      await new QemuNbd(server, hostile).start(undo);
      const decoder = new Decoder({ clock: systemClock, startMs: 20_000, log: silentLog });
      const [socket, exportName] = [join(nbd, 'out.sock'), 'out'] as const;
      undo.after(() => decoder.end(socket));
      const raw = { kind: 'nbd', socket: server, exportName: '' } as const;
      const layers = [{ raw, format: 'qcow2' as const }];
      try {
        const outcome = await decoder.start({ layers, socket }, never).then(async () => {
          const reader = await ServerLink.open(
            { kind: 'nbd', socket, exportName },
            { clock: systemClock, ms: 10_000 },
          );
          const seen = await reader.read(0, SECRET.length);
          reader.close();
          return seen.toString();
        }, String);
        assert.ok(!outcome.includes('HOST-SECRET'), `${what}: ${outcome}`);
      } finally {
        await undo.run();
      }
    }
    assert.deepEqual(await scene.left(), []);
  });

  it('happens in a process without rights, files or network', { skip: !isRoot }, async () => {
    const { host } = await connect();
    const proc = `/proc/${Number(host.decoder)}`;
    const status = await readFile(`${proc}/status`, 'utf8');
    for (const line of ['CapPrm', 'CapEff', 'CapBnd', 'CapInh', 'CapAmb'])
      assert.match(status, new RegExp(`^${line}:\t0+$`, 'm'));
    assert.match(status, /^NoNewPrivs:\t1$/m);
    assert.match(status, /^Uid:\t21139(\d+)\t21139\1\t21139\1\t21139\1$/m);
    assert.match(status, /^Groups:\t *$/m);
    const namespaces = ['mnt', 'net', 'ipc'];
    for (const kind of namespaces)
      assert.notEqual(await readlink(`${proc}/ns/${kind}`), await readlink(`/proc/self/ns/${kind}`));
    assert.deepEqual(
      (await readdir(`${proc}/root/cell`)).length + (await readdir(`${proc}/root/proc`)).length,
      0,
    );
    const visible = (await readdir(`${proc}/root`))
      .filter((name) => !/^(usr|lib\w*|bin|sbin)$/.test(name))
      .sort();
    assert.deepEqual(visible, ['cell', 'etc', 'proc']);
    const mounts = (await readFile(`${proc}/mounts`, 'utf8')).trim().split('\n');
    for (const line of mounts.filter((each) => !each.includes(' /cell'))) assert.match(line, / ro,/, line);
    const environment = (await readFile(`${proc}/environ`, 'utf8')).split('\0').filter((each) => each !== '');
    assert.deepEqual(environment.map((each) => each.split('=')[0]).sort(), ['LC_ALL', 'PATH']);
    await scene.connectors.qemu.disconnect(host);
    assert.deepEqual(await scene.left(), []);
  });

  for (const victim of ['pid', 'decoder'] as const)
    it(`notices the end of either process (${victim}), and ends the other`, async () => {
      const { host, lost } = await connect();
      const event = new Promise((resolve) => lost.addEventListener('abort', resolve, { once: true }));
      process.kill(Number(host[victim]), 'SIGKILL');
      await event;
      assert.ok(CinderfsError.is(lost.reason) && lost.reason.code === 'connector_failed');
      await scene.connectors.qemu.disconnect(host);
      assert.deepEqual(await scene.left(), []);
      await gone(host.pid, host.decoder);
    });

  it('is adopted by the next daemon with both processes, and ended by one that knows the plan alone', async () => {
    const { host } = await connect();
    const adopted = await scene.successor().adopt(host);
    assert.deepEqual(await adopted?.read(MiB, 10), bytes.subarray(MiB, MiB + 10));
    assert.equal(adopted?.source.kind, 'nbd');
    await scene.successor().disconnect({ socket: host.socket ?? '' });
    assert.equal(await scene.successor().adopt(host), undefined);
    assert.deepEqual(await scene.left(), []);
    await gone(host.pid, host.decoder);
  });

  for (const victim of ['pid', 'decoder'] as const)
    it(`is not waited for when a process of it is frozen (${victim})`, async () => {
      const { host } = await connect();
      process.kill(Number(host[victim]), 'SIGSTOP');
      await assert.rejects(scene.successor(1_000).adopt(host), { code: 'connector_failed' });
      await scene.connectors.qemu.disconnect(host);
      assert.deepEqual(await scene.left(), []);
      await gone(host.pid, host.decoder);
    });
});

/** There is nothing at either pid that runs. */
async function gone(...pids: readonly unknown[]): Promise<void> {
  for (const pid of pids)
    assert.match(await readFile(`/proc/${Number(pid)}/stat`, 'utf8').catch(() => ') Z '), /\) Z /);
}
