/** Nothing that a volume's bytes say leads to another file, through any connector that decodes. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { systemClock } from '../../src/async/clock.js';
import type { Connector } from '../../src/attach/connection/connector.js';
import { NfsConnector } from '../../src/attach/connectors/nfs/nfs-connector.js';
import { NfsMounts } from '../../src/attach/connectors/nfs/nfs-mounts.js';
import { Decoder } from '../../src/attach/connectors/qemu/decoder.js';
import { ServerLink } from '../../src/attach/connectors/qemu/server-link.js';
import { QemuConnector } from '../../src/attach/connectors/qemu/qemu-connector.js';
import type { ConnectionInfo } from '../../src/cinder/contract/attachments.js';
import { CinderfsError } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { QemuNbd } from '../support/qemu-nbd.js';
import { someBytes } from '../support/seeds.js';
import { temporaryFolder } from '../support/temporary.js';
import { stayAwake } from '../support/time.js';
import { Undo } from '../support/undo.js';
import { HOSTILE, SECRET } from './crafted-qcow2.js';

const VOLUME = '1e035fa6-7d97-400f-aa2d-cea1d44e4461';
const SHARE = '192.0.2.1:/volumes';
const NAMES = [`volume-${VOLUME}`, `volume-${VOLUME}.5a1b`];
const MiB = 2 ** 20;
const isRoot = process.getuid?.() === 0;
const never = new AbortController().signal;

describe('decoding', { timeout: 300_000 }, () => {
  const test = new Undo({ after: (run) => after(run) });
  let folder = '';
  let share = '';
  let secret = '';
  let connectors: Readonly<Record<'qemu' | 'nfs', Connector>>;
  const bytes = someBytes(3 * MiB + 512);

  before(async () => {
    folder = await temporaryFolder(test);
    stayAwake(test);
    // As a share is: on another file system than the directory that it is mounted in.
    const elsewhere = await mkdtemp('/dev/shm/cinderfs-test-');
    test.after(() => rm(elsewhere, { recursive: true, force: true }));
    share = join(elsewhere, 'share');
    secret = join(folder, 'secret');
    await mkdir(share);
    await writeFile(secret, Buffer.alloc(64 * 1024, SECRET), { mode: 0o600 });
    await writeFile(join(folder, 'content'), bytes);
    const mountProgram = join(folder, 'fake-mount');
    await writeFile(mountProgram, `#!/bin/sh\nexec mount --bind '${share}' "$6"\n`, { mode: 0o755 });
    const qemu = make();
    const mounts = new NfsMounts({ directory: join(folder, 'mounts'), timeoutMs: 20_000, mountProgram });
    test.after(() => make().disconnect(qemu.plan({ volumeId: VOLUME })));
    connectors = { qemu, nfs: new NfsConnector(mounts, qemu) };
  });
  beforeEach(async () => {
    await writeFile(secret, Buffer.alloc(64 * 1024, SECRET), { mode: 0o600 });
    for (const name of NAMES)
      execFileSync('qemu-img', ['convert', '-O', 'qcow2', join(folder, 'content'), join(share, name)]);
  });

  const make = (startMs = 20_000): QemuConnector =>
    new QemuConnector({
      directory: join(folder, 'nbd'),
      initiator: '',
      cephDirectory: folder,
      localDirectories: [share],
      shareMounts: join(folder, 'mounts'),
      clock: systemClock,
      startMs,
    });
  const infoOf = (connector: string, name: string, format = 'qcow2'): ConnectionInfo =>
    connector === 'nfs'
      ? { driver_volume_type: 'nfs', export: SHARE, name, format }
      : { driver_volume_type: 'local', device_path: join(share, name), name, format };
  const connect = (connector: Connector, info: ConnectionInfo): ReturnType<Connector['connect']> => {
    const request = { volumeId: VOLUME, info, signal: never };
    return connector.connect(request, connector.plan(request));
  };
  const left = async (): Promise<readonly string[]> => [
    ...(await readdir(join(folder, 'nbd'))),
    ...(await readdir(join(folder, 'mounts')).catch(() => [])),
  ];

  const cases = (['qemu', 'nfs'] as const).flatMap((kind) => NAMES.map((name) => ({ kind, name })));
  for (const { kind, name } of cases)
    describe(
      `of ${name} by ${kind}`,
      { skip: kind === 'nfs' && !isRoot ? 'only root may mount' : false },
      () => {
        for (const { what, make: craft } of HOSTILE)
          it(`refuses ${what}`, async () => {
            await craft(join(share, name), secret);
            const failure = await connect(connectors[kind], infoOf(kind, name)).then(
              async ({ read, host }) => {
                const seen = (await read(0, SECRET.length)).toString();
                await connectors[kind].disconnect(host);
                return assert.fail(`it was decoded, and begins with ${JSON.stringify(seen)}`);
              },
              (error: unknown) => error,
            );
            assert.ok(CinderfsError.is(failure), String(failure));
            assert.equal(failure.code, 'volume_unsafe', failure.toLine());
            assert.deepEqual(await left(), []);
            assert.equal((await readFile(secret, 'utf8')).slice(0, SECRET.length), SECRET);
          });

        it('serves what a guest wrote into a raw volume as it is', async () => {
          await HOSTILE[0]?.make(join(share, name), secret);
          const written = await readFile(join(share, name));
          const connected = await connect(connectors[kind], infoOf(kind, name, 'raw'));
          assert.ok((await connected.read(0, 4096)).equals(written.subarray(0, 4096)));
          await connectors[kind].disconnect(connected.host);
          assert.deepEqual(await left(), []);
        });
      },
    );

  it('opens nothing even for a header that changes after it was judged', async () => {
    const nbd = join(folder, 'nbd');
    await mkdir(nbd, { recursive: true });
    for (const { what, make: craft } of HOSTILE.slice(0, 6)) {
      const hostile = join(folder, 'hostile');
      await craft(hostile, secret);
      const servers = ['good', 'bad'].map((each) => join(nbd, each));
      const undo = new Undo(test);
      for (const [socket, image] of [
        [servers[0], join(share, NAMES[0] ?? '')],
        [servers[1], hostile],
      ] as const)
        await new QemuNbd(socket ?? '', image).start(undo);
      const good = { kind: 'nbd', socket: servers[0] ?? '', exportName: '' } as const;
      const client = await ServerLink.open(good, { clock: systemClock, ms: 10_000 });
      undo.after(() => client.close());
      const decoder = new Decoder({ clock: systemClock, startMs: 20_000, log: silentLog });
      const [socket, exportName] = [join(nbd, 'out.sock'), 'out'];
      undo.after(() => decoder.end(socket));
      const raw = { kind: 'nbd', socket: servers[1] ?? '', exportName: '' } as const;
      try {
        const outcome = await decoder.start({ raw, client, socket, exportName }, never).then(async () => {
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
    assert.deepEqual(await left(), []);
  });

  it('happens in a process without rights, files or network', { skip: !isRoot }, async () => {
    const { host } = await connect(connectors.qemu, infoOf('qemu', NAMES[0] ?? ''));
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
    await connectors.qemu.disconnect(host);
    assert.deepEqual(await left(), []);
  });

  for (const victim of ['pid', 'decoder'] as const)
    it(`notices the end of either process (${victim}), and ends the other`, async () => {
      const { host, lost } = await connect(connectors.qemu, infoOf('qemu', NAMES[0] ?? ''));
      const event = new Promise((resolve) => lost.addEventListener('abort', resolve, { once: true }));
      process.kill(Number(host[victim]), 'SIGKILL');
      await event;
      assert.ok(CinderfsError.is(lost.reason) && lost.reason.code === 'connector_failed');
      await connectors.qemu.disconnect(host);
      assert.deepEqual(await left(), []);
      await gone(host.pid, host.decoder);
    });

  it('is adopted by the next daemon with both processes, and ended by one that knows the plan alone', async () => {
    const { host } = await connect(connectors.qemu, infoOf('qemu', NAMES[0] ?? ''));
    const adopted = await make().adopt(host);
    assert.deepEqual(await adopted?.read(MiB, 10), bytes.subarray(MiB, MiB + 10));
    assert.equal(adopted?.source.kind, 'nbd');
    await make().disconnect({ socket: host.socket ?? '' });
    assert.equal(await make().adopt(host), undefined);
    assert.deepEqual(await left(), []);
    await gone(host.pid, host.decoder);
  });

  for (const victim of ['pid', 'decoder'] as const)
    it(`is not waited for when a process of it is frozen (${victim})`, async () => {
      const { host } = await connect(connectors.qemu, infoOf('qemu', NAMES[0] ?? ''));
      process.kill(Number(host[victim]), 'SIGSTOP');
      await assert.rejects(make(1_000).adopt(host), { code: 'connector_failed' });
      await connectors.qemu.disconnect(host);
      assert.deepEqual(await left(), []);
      await gone(host.pid, host.decoder);
    });
});

/** There is nothing at either pid that runs. */
async function gone(...pids: readonly unknown[]): Promise<void> {
  for (const pid of pids)
    assert.match(await readFile(`/proc/${Number(pid)}/stat`, 'utf8').catch(() => ') Z '), /\) Z /);
}
