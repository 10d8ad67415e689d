/** What an operator does about attachments: look, let go, settle what was left; and what a failed read tells. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { describe, it, type TestContext } from 'node:test';
import { ATTACH_METRICS, MOUNT_METRICS } from '../../src/metrics.js';
import { testCloud, type TestCloud, type TestImage } from '../support/cloud.js';
import { eventually } from '../support/eventually.js';
import { cinderfs, Mounted, run } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

interface Scene {
  readonly cloud: TestCloud;
  readonly mounted: Mounted;
  readonly image: TestImage;
  readonly undo: Undo;
}

async function scene(t: TestContext, env: NodeJS.ProcessEnv = {}): Promise<Scene> {
  const undo = new Undo(t);
  const dir = await temporaryFolder(undo);
  const cloud = await testCloud(undo, dir);
  const mounted = await Mounted.start({ dir, env: { ...cloud.env, ...env }, test: undo });
  const image = cloud.images.find(({ attachable, multiattach }) => attachable && multiattach);
  assert.ok(image, 'there is a multiattach image');
  return { cloud, mounted, image, undo };
}

async function attachmentsOf(cloud: TestCloud, image: TestImage): Promise<readonly string[]> {
  return (await cloud.openstack.attachments.listForVolume(image.volume_id)).map(({ id }) => id);
}

/** An attachment as cinderfs on another host leaves it when it dies: finished, or only reserved. */
async function attachAs(scene: Scene, mountpoint: string): Promise<string> {
  const { attachments } = scene.cloud.openstack;
  const { id } = await attachments.create(scene.image.volume_id);
  scene.undo.after(() => attachments.delete(id));
  await attachments.update(id, {
    host: mountpoint.split(':')[1] ?? '',
    ip: '127.0.0.1',
    platform: 'x86_64',
    os_type: 'linux',
    multipath: false,
    initiator: 'iqn.2026-01.org.cinderfs:test',
    mountpoint,
    mode: 'ro',
  });
  await attachments.complete(id);
  return id;
}

type Leftovers = readonly { Attachment: string; Owner: string; Deleted: boolean }[];

describe('cinderfs attachments', { timeout: 300_000 }, () => {
  it('shows volume, image, state, leases, age and source', async (t) => {
    const { cloud, mounted, image } = await scene(t);
    await readFile(mounted.at(image.id));
    const { stdout, stderr } = await cinderfs(['attachments', mounted.mountpoint, '-f', 'json'], mounted.env);
    const [row] = JSON.parse(stdout) as Record<string, unknown>[];
    assert.ok(row, stderr);
    assert.equal(row.Volume, image.volume_id);
    assert.equal(row.Image, image.id);
    assert.equal(row.Attachment, (await attachmentsOf(cloud, image))[0]);
    assert.equal(row.State, 'lingering');
    assert.equal(row.Leases, 0);
    assert.equal(typeof row.Age, 'number');
    assert.match(String(row.Source), /^(file|device|nbd\+unix|rbd):/);
  });

  it('--reap --dead-host names, then removes, what that host left, and nothing else', async (t) => {
    const stage = await scene(t);
    const { cloud, mounted, image } = stage;
    await readFile(mounted.at(image.id));
    const [held] = await attachmentsOf(cloud, image);
    const [dead, alive] = [
      await attachAs(stage, 'cinderfs:dead:1'),
      await attachAs(stage, 'cinderfs:alive:1'),
    ];
    const reap = ['attachments', mounted.mountpoint, '--reap', '--dead-host', 'dead', '-f', 'json'];
    const named = await cinderfs([...reap, '--dry-run'], mounted.env);
    assert.equal(named.status, 0, named.stderr);
    const wanted = {
      What: 'attachment',
      Volume: image.volume_id,
      Attachment: dead,
      Owner: 'cinderfs:dead:1',
    };
    assert.deepEqual(JSON.parse(named.stdout), [{ ...wanted, Deleted: false }]);
    const reaped = await cinderfs(reap, mounted.env);
    assert.deepEqual(JSON.parse(reaped.stdout), [{ ...wanted, Deleted: true }], reaped.stderr);
    assert.deepEqual(await attachmentsOf(cloud, image).then((ids) => [...ids].sort()), [held, alive].sort());
    const own = await cinderfs([...reap.slice(0, 4), hostname()], mounted.env);
    assert.equal(own.status, 2, 'this host is not dead');
  });

  it('--reap settles what a killed daemon left, without starting one', async (t) => {
    const { cloud, mounted, image } = await scene(t, { CINDERFS_SUPERVISE: 'false' });
    await readFile(mounted.at(image.id));
    const [left] = await attachmentsOf(cloud, image);
    await mounted.stop('SIGKILL');
    const reap = ['attachments', mounted.mountpoint, '--reap', '-f', 'json'];
    const named = await cinderfs([...reap, '--dry-run'], mounted.env);
    const rows = JSON.parse(named.stdout) as Leftovers;
    assert.deepEqual(
      rows.map((row) => [row.Attachment, row.Deleted]),
      [[left, false]],
      named.stderr,
    );
    assert.equal((await attachmentsOf(cloud, image)).length, 1);
    const reaped = await cinderfs(reap, mounted.env);
    assert.deepEqual(
      (JSON.parse(reaped.stdout) as Leftovers).map((row) => [row.Attachment, row.Deleted]),
      [[left, true]],
      reaped.stderr,
    );
    assert.deepEqual(await attachmentsOf(cloud, image), []);
    assert.equal((await cloud.openstack.volumes.show(image.volume_id)).status, 'available');
  });

  it('--reap by the daemon removes what says it is of this mount and no journal knows', async (t) => {
    const stage = await scene(t);
    const { cloud, mounted, image } = stage;
    await readFile(mounted.at(image.id));
    const [held] = await attachmentsOf(cloud, image);
    const volume = await cloud.openstack.volumes.show(image.volume_id);
    const owner = volume.attachments.find(({ attachmentId }) => attachmentId === held)?.device;
    assert.ok(owner);
    const lost = await attachAs(stage, owner);
    const reaped = await cinderfs(['attachments', mounted.mountpoint, '--reap', '-f', 'value'], mounted.env);
    assert.equal(reaped.status, 0, reaped.stderr);
    assert.match(reaped.stdout, new RegExp(lost));
    assert.deepEqual(await attachmentsOf(cloud, image), [held]);
  });

  it('refuses --dry-run without --reap', async () => {
    assert.equal((await cinderfs(['attachments', '/images', '--dry-run'])).status, 2);
  });
});

describe('cinderfs release', { timeout: 300_000 }, () => {
  it('detaches a lingering image before it returns, by id or by name', async (t) => {
    const { cloud, mounted, image } = await scene(t);
    for (const name of [image.id, image.name]) {
      await readFile(mounted.at(image.id));
      assert.equal((await attachmentsOf(cloud, image)).length, 1);
      const { status, stdout, stderr } = await cinderfs(['release', name, '-f', 'json'], mounted.env);
      assert.equal(status, 0, stderr);
      assert.deepEqual(JSON.parse(stdout), { image: image.id, detached: true });
      assert.deepEqual(await attachmentsOf(cloud, image), []);
    }
    const again = await cinderfs(['release', image.id, mounted.mountpoint, '-f', 'json'], mounted.env);
    assert.deepEqual(JSON.parse(again.stdout), { image: image.id, detached: false });
    const unknown = await cinderfs(['release', 'no-such-image'], mounted.env);
    assert.equal(unknown.status, 2, unknown.stderr);
    assert.match(unknown.stderr, /\[image_not_found\]/);
  });

  it('refuses while somebody reads, and names who', async (t) => {
    const { cloud, mounted, image, undo } = await scene(t);
    const file = await open(mounted.at(image.id));
    const holder = spawn('sleep', ['1000'], { stdio: [file.fd, 'ignore', 'ignore'] });
    undo.after(() => holder.kill());
    await once(holder, 'spawn');
    await file.close();
    const { status, stderr } = await cinderfs(['release', image.name], mounted.env);
    assert.equal(status, 6, stderr);
    assert.match(stderr, new RegExp(`sleep \\(pid ${holder.pid ?? 0}\\)`));
    assert.equal((await attachmentsOf(cloud, image)).length, 1);
    holder.kill();
    await once(holder, 'exit');
  });
});

describe('a read that fails', { timeout: 300_000 }, () => {
  it('says why, with errno and request id, in the xattr and in the status', async (t) => {
    const { cloud, mounted, image, undo } = await scene(t, { CINDERFS_PASSTHROUGH: 'false' });
    const script = 'exec 3<"$1"; echo open; read go; exec cat <&3 >/dev/null';
    const reader = spawn('sh', ['-c', script, 'sh', mounted.at(image.id)], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    undo.after(() => reader.kill());
    await once(reader.stdout, 'data');
    for (const id of await attachmentsOf(cloud, image)) await cloud.openstack.attachments.delete(id);
    await eventually('the attachment is fenced', async () =>
      (await mounted.status()).counters.fences === 1 ? true : undefined,
    );
    reader.stdin.write('go\n');
    const [code] = (await once(reader, 'exit')) as [number];
    assert.equal(code, 1);
    const xattr = ['-n', 'user.cinderfs.last_error', '--only-values', mounted.at(image.id)];
    const why = (await run('getfattr', xattr)).stdout;
    assert.match(why, /^EIO: .*request req-.*\[attachment_lost\]/);
    const { failures, counters, gauges } = await mounted.status();
    assert.deepEqual(failures, [{ image_id: image.id, last_error: why }]);
    assert.ok((counters.read_failures ?? 0) > 0);
    assert.equal(gauges.held, 0);
    const shown = Object.keys({ ...gauges, ...counters });
    assert.deepEqual(shown.sort(), Object.keys({ ...MOUNT_METRICS, ...ATTACH_METRICS }).sort());
  });
});
