import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { systemClock } from '../../src/async/clock.js';
import { ServerLink } from '../../src/attach/connectors/qemu/server-link.js';
import { endProcess } from '../../src/sys/processes/end-process.js';
import { findProcesses } from '../../src/sys/processes/find-processes.js';
import { nameProcess } from '../../src/sys/processes/process-name.js';
import { QemuConnector } from '../../src/attach/connectors/qemu/qemu-connector.js';
import type { Source } from '../../src/sources/contract/source.js';
import { CinderfsError } from '../../src/errors.js';
import { someBytes } from '../support/seeds.js';
import { stayAwake } from '../support/time.js';

const VOLUME = '1e035fa6-7d97-400f-aa2d-cea1d44e4461';
const MiB = 1024 * 1024;

/** These volumes are files of this host, so that qemu-nbd itself is under test and no backend. */
const onDisk = (
  path: string,
  format = 'raw',
): { driver_volume_type: string; path: string; format: string } => ({
  driver_volume_type: 'local',
  path,
  format,
});

describe('the qemu connector with a real qemu-nbd', () => {
  let directory = '';
  let connector: QemuConnector;
  const bytes = someBytes(3 * MiB + 512);
  const never = new AbortController().signal;

  const make = (program?: string): QemuConnector =>
    new QemuConnector({
      directory: join(directory, 'run'),
      clock: systemClock,
      startMs: 10_000,
      initiator: 'iqn.2026-01.org.cinderfs:test',
      cephDirectory: join(directory, 'ceph'),
      program,
      blocks: (info) =>
        Promise.resolve([
          'options' in info
            ? { options: { driver: 'raw', file: info.options } }
            : {
                options: {
                  driver: typeof info.driver === 'string' ? info.driver : 'raw',
                  file: { driver: 'file', filename: String(info.path) },
                },
              },
        ]),
    });
  const socketArgument = (): string => `--socket=${join(directory, 'run', `${VOLUME}.sock`)}`;
  const leftFiles = async (): Promise<readonly string[]> => readdir(join(directory, 'run'));

  stayAwake({ after });

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'cinderfs-qemu-'));
    await writeFile(join(directory, 'raw'), bytes);
    execFileSync('qemu-img', [
      'convert',
      '-f',
      'raw',
      '-O',
      'qcow2',
      join(directory, 'raw'),
      join(directory, 'qcow2'),
    ]);
  });
  beforeEach(() => {
    connector = make();
  });
  after(async () => {
    for (const pid of await findProcesses('qemu-nbd', socketArgument())) await endProcess(pid, systemClock);
    await rm(directory, { recursive: true, force: true });
  });

  const connect = (path = 'raw', format = 'raw'): ReturnType<QemuConnector['connect']> => {
    const request = { volumeId: VOLUME, info: onDisk(join(directory, path), format), signal: never };
    return connector.connect(request, connector.plan(request));
  };

  for (const format of ['raw', 'qcow2'])
    it(`serves the bytes of a ${format} volume to several readers, and leaves nothing`, async () => {
      const { source, host, size } = await connect(format, format);
      assert.equal(await size(), bytes.length);
      assert.equal(source.kind, 'nbd');
      const readers = await Promise.all(Array.from({ length: 4 }, () => readAll(source, bytes.length)));
      for (const read of readers) assert.equal(digest(read), digest(bytes));
      await connector.disconnect(host);
      assert.deepEqual(await leftFiles(), []);
      assert.deepEqual(await findProcesses('qemu-nbd', socketArgument()), []);
      await connector.disconnect(host); // already gone is success
    });

  it('is found and adopted by another process, or ended by it', async () => {
    const { host } = await connect();
    const successor = make();
    const adopted = await successor.adopt({ socket: host.socket ?? '', pid: host.pid ?? 0 });
    assert.ok(adopted);
    assert.deepEqual(await adopted.read(MiB, 10), bytes.subarray(MiB, MiB + 10));
    // The plan alone, without the pid, is what a crash while connecting leaves behind.
    await make().disconnect({ socket: host.socket ?? '' });
    assert.deepEqual(await findProcesses('qemu-nbd', socketArgument()), []);
    assert.equal(await successor.adopt(host), undefined);
  });

  it('notices that its server was killed', async () => {
    const { host, lost, read } = await connect();
    const event = new Promise((resolve) => lost.addEventListener('abort', resolve, { once: true }));
    process.kill(Number(host.pid), 'SIGKILL');
    await event;
    assert.ok(CinderfsError.is(lost.reason));
    await assert.rejects(read(0, 1), { code: 'connector_failed' });
    await connector.disconnect(host);
    assert.deepEqual(await leftFiles(), []);
  });

  it('says what qemu-nbd said when the volume cannot be opened, and leaves nothing', async () => {
    await assert.rejects(connect('absent'), (error) => {
      assert.ok(CinderfsError.is(error));
      assert.equal(error.code, 'connector_failed');
      assert.match(error.message, /No such file or directory/);
      return true;
    });
    assert.deepEqual(await leftFiles(), []);
  });

  it('names the package of a missing program and of a missing driver', async () => {
    const refusal = await make('qemu-nbd-of-nowhere').refusal({ driver_volume_type: 'rbd' });
    assert.equal(refusal?.code, 'connector_missing');
    assert.match(refusal.remedy, /qemu-utils/);
    const info = { ...onDisk(join(directory, 'raw')), driver: 'nowhere' };
    const request = { volumeId: VOLUME, info, signal: never };
    await assert.rejects(connector.connect(request, connector.plan(request)), (error) => {
      assert.ok(CinderfsError.is(error) && error.code === 'connector_missing', String(error));
      assert.match(error.remedy, /qemu-block-extra/);
      return true;
    });
  });

  it('ends a server that does not come up before its caller gives up', async () => {
    const silent = createServer(() => undefined);
    const path = join(directory, 'silent');
    await new Promise<void>((resolve) => silent.listen(path, resolve));
    const caller = new AbortController();
    const info = { driver_volume_type: 'nbd', options: { driver: 'nbd', server: { type: 'unix', path } } };
    const request = { volumeId: VOLUME, info, signal: caller.signal };
    const connected = new Promise((resolve) => silent.once('connection', resolve));
    const opening = assert.rejects(connector.connect(request, connector.plan(request)), {
      code: 'interrupted',
    });
    await connected;
    caller.abort();
    await opening;
    assert.deepEqual(await leftFiles(), []);
    assert.deepEqual(await findProcesses('qemu-nbd', socketArgument()), []);
    silent.close();
  });

  it('never ends a process that is not its own, though a record names its pid', async () => {
    await connector.disconnect({ socket: join(directory, 'run', `${VOLUME}.sock`), pid: process.pid });
    assert.notEqual(nameProcess(process.pid), undefined);
  });

  it('hands a secret over in a file that is gone when the server is up', async () => {
    const seen: string[] = [];
    const watched = new QemuConnector({
      directory: join(directory, 'run'),
      clock: systemClock,
      startMs: 10_000,
      initiator: '',
      cephDirectory: '',
      blocks: () =>
        Promise.resolve([
          {
            options: { driver: 'raw', file: { driver: 'file', filename: join(directory, 'raw') } },
            secret: { value: 'hunter2', format: 'raw' },
          },
        ]),
    });
    const request = { volumeId: VOLUME, info: onDisk(''), signal: never };
    const { host } = await watched.connect(request, watched.plan(request));
    seen.push(await readFile(`/proc/${host.pid ?? ''}/cmdline`, 'utf8'));
    seen.push(await readFile(`/proc/${host.pid ?? ''}/environ`, 'utf8'));
    const file = join(directory, 'run', `${VOLUME}.secret`);
    assert.match(seen[0] ?? '', new RegExp(`file=${file}`));
    for (const text of seen) assert.doesNotMatch(text, /hunter2/);
    await assert.rejects(access(file));
    assert.equal((await stat(join(directory, 'run'))).mode & 0o777, 0o700);
    await watched.disconnect(host);
  });
});

async function readAll(source: Source, size: number): Promise<Buffer> {
  assert.ok(source.kind === 'nbd');
  const client = await ServerLink.open(source, {
    clock: systemClock,
    ms: 10_000,
  });
  const parts: Buffer[] = [];
  for (let at = 0; at < size; at += MiB) parts.push(await client.read(at, Math.min(MiB, size - at)));
  client.close();
  return Buffer.concat(parts);
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
