import assert from 'node:assert/strict';
import { mkdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { BrickConnector } from '../../src/attach/connectors/brick/brick-connector.js';
import type { ConnectRequest } from '../../src/attach/connection/connector.js';
import { CinderfsError } from '../../src/errors.js';
import { eventually } from '../support/eventually.js';
import { temporaryFolder } from '../support/temporary.js';

const INFO = {
  driver_volume_type: 'iscsi',
  target_portal: '192.0.2.1:3260',
  target_iqn: 'iqn.2026-01.test.lab:volume',
  target_lun: 1,
  wwn: '60014051111222233334444555566667',
  auth_method: 'CHAP',
  auth_username: 'user',
  auth_password: 'a secret',
};

/** Stands in for cinderfs-brick: keeps what it was asked, answers what the test wrote, hangs when told to. */
class Program {
  readonly connector: BrickConnector;
  readonly folder: string;

  private constructor(folder: string, path: string, askMs: number | undefined) {
    this.folder = folder;
    this.connector = new BrickConnector({
      directory: join(folder, 'links'),
      host: 'cmp1',
      ip: '192.0.2.9',
      multipath: false,
      enforceMultipath: false,
      lockDirectories: ['/locks/nova'],
      wildcardScan: false,
      stepMs: 20_000,
      askMs,
      program: path,
    });
  }

  static async make(test: TestContext, askMs?: number): Promise<Program> {
    const folder = await temporaryFolder(test);
    const path = join(folder, 'fake-brick');
    const script = `#!/bin/sh
cd '${folder}' && echo "$1" >>calls && cat >"asked-$1" && echo "$*" >>arguments
[ ! -e "hang-$1" ] || sleep 60
cat "answer-$1"
! grep -q '"error"' "answer-$1"
`;
    await writeFile(path, script, { mode: 0o755 });
    const program = new Program(folder, path, askMs);
    await program.answer('disconnect', {});
    return program;
  }

  async answer(verb: string, answer: object): Promise<void> {
    await writeFile(join(this.folder, `answer-${verb}`), JSON.stringify(answer));
  }

  /** Connecting makes a device of this name with these identifiers. */
  async device(name: string, ids: readonly string[]): Promise<void> {
    const path = join(this.folder, name);
    await writeFile(path, 'bytes');
    const device = { path, size: 5, diskseq: name, paths: [name], ids };
    await this.answer('connect', device);
    await this.answer('check', device);
  }

  async calls(): Promise<readonly string[]> {
    return (await readFile(join(this.folder, 'calls'), 'utf8')).trim().split('\n');
  }

  async asked(verb: string): Promise<string> {
    return readFile(join(this.folder, `asked-${verb}`), 'utf8');
  }
}

const request = (signal = new AbortController().signal): ConnectRequest => ({
  volumeId: 'v1',
  info: INFO,
  signal,
});
const GOOD = ['naa.60014051111222233334444555566667'];

describe('the brick connector', () => {
  it('hands the secret over on stdin alone, and keeps none', async (test) => {
    const program = await Program.make(test);
    await program.device('sdb', GOOD);
    const { connector } = program;
    const connected = await connector.connect(request(), connector.plan(request()));
    assert.match(await program.asked('connect'), /"auth_password":"a secret"/);
    assert.equal((await readFile(join(program.folder, 'arguments'), 'utf8')).trim(), 'connect');
    assert.ok(!JSON.stringify(connected.host).includes('secret'));
    await connector.disconnect(connected.host);
    assert.ok(!(await program.asked('disconnect')).includes('secret'));
    assert.deepEqual(await program.calls(), ['connect', 'disconnect']);
  });

  it('keeps its source when the kernel gives the volume another name', async (test) => {
    const program = await Program.make(test);
    const { connector } = program;
    await program.device('sdb', GOOD);
    const first = await connector.connect(request(), connector.plan(request()));
    const identity = await first.object();
    await program.device('sdc', GOOD);
    const second = await connector.connect(request(), connector.plan(request()));
    assert.deepEqual(second.source, first.source);
    const link = 'path' in second.source ? second.source.path : '';
    assert.equal(await readlink(link), join(program.folder, 'sdc'));
    assert.notEqual(await second.object(), identity);
    await connector.disconnect(second.host);
    await assert.rejects(readlink(link), { code: 'ENOENT' });
  });

  it('undoes a connection that turns out to be another volume', async (test) => {
    const program = await Program.make(test);
    const { connector } = program;
    await program.device('sdb', ['naa.6001405ffffffffffffffffffffffff0']);
    await assert.rejects(
      connector.connect(request(), connector.plan(request())),
      (error) => CinderfsError.is(error) && error.code === 'identity_mismatch',
    );
    assert.deepEqual(await program.calls(), ['connect', 'disconnect']);
  });

  it('ends what it started and undoes it when the caller gives up', async (test) => {
    const program = await Program.make(test);
    const { connector } = program;
    await writeFile(join(program.folder, 'hang-connect'), '');
    const abort = new AbortController();
    const connecting = connector.connect(request(abort.signal), connector.plan(request()));
    const asked = (async () => {
      // Only once it runs is there something to end.
      while ((await program.asked('connect').catch(() => '')) === '') await new Promise(setImmediate);
    })();
    await asked;
    abort.abort();
    await assert.rejects(connecting);
    assert.deepEqual(await program.calls(), ['connect', 'disconnect']);
  });

  it("passes the helper's reason and what to do about it on", async (test) => {
    const program = await Program.make(test);
    const { connector } = program;
    await mkdir(join(program.folder, 'links'));
    await program.answer('disconnect', { error: { code: 'in_use', message: 'sdb open in qemu (7)' } });
    await assert.rejects(connector.disconnect(connector.plan(request())), (error) => {
      assert.ok(CinderfsError.is(error));
      assert.equal(error.code, 'connector_failed');
      assert.match(error.toLine(), /sdb open in qemu \(7\)\. Stop the program/);
      return true;
    });
  });

  // What a hostile disk makes os-brick or udev say is no device, and no bug of ours either.
  for (const answer of [
    null,
    [],
    { path: '/dev/sdb' },
    { path: '/dev/sdb', size: 'many', diskseq: '1', paths: [], ids: [] },
    { path: '/dev/sdb', size: 5, diskseq: '1', paths: ['sdb'], ids: 'naa.6001' },
    { path: '/dev/sdb', size: 5, diskseq: '1', paths: ['sdb'], ids: [{ toString: 1 }] },
  ])
    it(`takes ${JSON.stringify(answer)} for no device, and undoes what was begun`, async (test) => {
      const program = await Program.make(test);
      const { connector } = program;
      await writeFile(join(program.folder, 'answer-connect'), JSON.stringify(answer));
      await assert.rejects(connector.connect(request(), connector.plan(request())), (error) => {
        assert.ok(CinderfsError.is(error));
        assert.equal(error.code, 'connector_failed');
        assert.match(error.message, /answer of cinderfs-brick has no usable/);
        return true;
      });
      assert.deepEqual(await program.calls(), ['connect', 'disconnect']);
    });

  it('notices that another volume took the place of its own, without being asked', async (test) => {
    const program = await Program.make(test, 100);
    const { connector } = program;
    await program.device('sdb', GOOD);
    const connected = await connector.connect(request(), connector.plan(request()));
    assert.equal(connected.lost.aborted, false);
    await program.device('sdb', ['naa.6001405ffffffffffffffffffffffff0']);
    // Its timers keep no process alive, so an event alone would not do.
    await eventually('it shows', () => Promise.resolve(connected.lost.aborted ? true : undefined));
    assert.ok(CinderfsError.is(connected.lost.reason) && connected.lost.reason.code === 'identity_mismatch');
    await connector.disconnect(connected.host);
  });

  // As by a neighbour that detaches the volume and attaches it again, between two looks at /dev.
  for (const [what, found] of [
    ['another disk has its name', { diskseq: '99' }],
    ['there is no such disk', { error: { code: 'disk_gone', message: '/dev/sdb is no block device' } }],
  ] as const)
    it(`is lost, and no other volume, when ${what} by the time it is asked`, async (test) => {
      const program = await Program.make(test);
      const { connector } = program;
      await program.device('sdb', GOOD);
      const connected = await connector.connect(request(), connector.plan(request()));
      const before = JSON.parse(await readFile(join(program.folder, 'answer-check'), 'utf8')) as object;
      await program.answer('check', { ...found, ...before, ...found });
      await assert.rejects(connected.object(), /vanished/);
      assert.equal(connected.lost.aborted, true);
      assert.ok(CinderfsError.is(connected.lost.reason) && connected.lost.reason.code === 'connector_failed');
      await connector.disconnect(connected.host);
    });

  it('is not lost while it is there and silent: its path may come back', async (test) => {
    const program = await Program.make(test);
    const { connector } = program;
    await program.device('sdb', GOOD);
    const connected = await connector.connect(request(), connector.plan(request()));
    await program.answer('check', {
      error: { code: 'device_not_found', message: 'sdb is transport-offline' },
    });
    await assert.rejects(connected.object(), /transport-offline/);
    assert.equal(connected.lost.aborted, false);
    await connector.disconnect(connected.host);
  });

  it('adopts what is still the same disk, and nothing else', async (test) => {
    const program = await Program.make(test);
    const { connector } = program;
    await program.device('sdb', GOOD);
    const { host } = await connector.connect(request(), connector.plan(request()));
    assert.deepEqual((await connector.adopt(host))?.host, host);
    await program.answer('check', {
      ...(JSON.parse(await readFile(join(program.folder, 'answer-check'), 'utf8')) as object),
      diskseq: '99',
    });
    assert.equal(await connector.adopt(host), undefined);
    await connector.disconnect(host);
  });
});
