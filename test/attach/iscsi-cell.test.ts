/** iSCSI by QEMU's own initiator needs nothing of this host but its network, and gets nothing else. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../../src/async/clock.js';
import { QemuConnector } from '../../src/attach/connectors/qemu/qemu-connector.js';
import { eventually } from '../support/eventually.js';
import { someBytes } from '../support/seeds.js';
import { temporaryFolder } from '../support/temporary.js';
import { stayAwake } from '../support/time.js';
import { Undo } from '../support/undo.js';

const VOLUME = '1e035fa6-7d97-400f-aa2d-cea1d44e4461';
const IQN = `iqn.2010-10.org.openstack:volume-${VOLUME}`;
const PASSWORD = 'SrtfbrFTfLQfu5E2';
const MiB = 2 ** 20;
const able = process.getuid?.() === 0 && existsSync('/usr/sbin/tgtd');

describe('an iSCSI volume', { skip: able ? false : 'needs root and tgtd', timeout: 120_000 }, () => {
  const test = new Undo({ after: (run) => after(run) });
  const bytes = someBytes(2 * MiB);
  let folder = '';
  let portal = '';

  before(async () => {
    folder = await temporaryFolder(test);
    stayAwake(test);
    const image = join(folder, 'lun');
    await writeFile(image, bytes);
    await mkdir('/run/tgtd', { recursive: true });
    const port = await freePort();
    portal = `127.0.0.1:${port}`;
    const control = String(20_000 + (process.pid % 10_000));
    const tgtd = spawn('tgtd', ['-f', '-C', control, '--iscsi', `portal=${portal}`], { stdio: 'ignore' });
    test.after(async () => {
      if (tgtd.exitCode !== null) return;
      tgtd.kill('SIGKILL');
      await once(tgtd, 'exit');
    });
    const admin = (...args: readonly string[]): unknown =>
      execFileSync('tgtadm', ['-C', control, '--lld', 'iscsi', ...args], { stdio: 'pipe' });
    await eventually('tgtd answers', () => {
      try {
        return Promise.resolve(admin('--op', 'new', '--mode', 'target', '--tid', '1', '-T', IQN));
      } catch {
        return Promise.resolve(undefined);
      }
    });
    admin('--op', 'new', '--mode', 'logicalunit', '--tid', '1', '--lun', '1', '-b', image);
    admin('--op', 'bind', '--mode', 'target', '--tid', '1', '-I', 'ALL');
    admin('--op', 'new', '--mode', 'account', '--user', 'someone', '--password', PASSWORD);
    admin('--op', 'bind', '--mode', 'account', '--tid', '1', '--user', 'someone');
  });

  it('is read with CHAP by a process without rights and files, which another daemon finds again', async () => {
    const directory = join(folder, 'nbd');
    const make = (): QemuConnector =>
      new QemuConnector({
        directory,
        initiator: 'iqn.2026-01.org.cinderfs:test',
        cephDirectory: folder,
        clock: systemClock,
        startMs: 20_000,
      });
    const info = {
      driver_volume_type: 'iscsi',
      target_portal: portal,
      target_iqn: IQN,
      target_lun: 1,
      auth_method: 'CHAP',
      auth_username: 'someone',
      auth_password: PASSWORD,
    };
    const request = { volumeId: VOLUME, info, signal: new AbortController().signal };
    const connector = make();
    const { host, read, size } = await connector.connect(request, connector.plan(request));
    test.after(() => make().disconnect({ socket: host.socket ?? '' }));
    assert.equal(await size(), bytes.length);
    assert.ok((await read(MiB - 5, 70_000)).equals(bytes.subarray(MiB - 5, MiB - 5 + 70_000)));

    const proc = `/proc/${Number(host.pid)}`;
    const status = await readFile(`${proc}/status`, 'utf8');
    assert.match(status, /^Uid:\t21139\d+\t/m);
    assert.match(status, /^CapEff:\t0+$/m);
    assert.notEqual(await readlink(`${proc}/ns/mnt`), await readlink('/proc/self/ns/mnt'));
    assert.equal(await readlink(`${proc}/ns/net`), await readlink('/proc/self/ns/net'));
    for (const file of ['cmdline', 'environ'])
      assert.doesNotMatch(await readFile(`${proc}/${file}`, 'utf8'), new RegExp(PASSWORD));
    assert.deepEqual(await readdir(`${proc}/root/cell`), [], 'the secret is gone');

    const next = make();
    const adopted = await next.adopt(host);
    assert.ok((await adopted?.read(0, 4096))?.equals(bytes.subarray(0, 4096)));
    assert.equal(await next.abandoned(host), false);
    await next.disconnect({ socket: host.socket ?? '' });
    assert.equal(await make().adopt(host), undefined);
    assert.deepEqual(await readdir(directory), []);
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
