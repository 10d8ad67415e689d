/** State and run directory on a disk without space: opens fail and say so, and everything is well when there is space. */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import { testCloud } from '../support/cloud.js';
import { eventually } from '../support/eventually.js';
import { filesBelow, findServers } from '../support/leftovers.js';
import { Mounted, run } from '../support/program.js';
import { fillDisk, smallDisk } from '../support/small-disk.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

const skip = process.getuid?.() === 0 ? false : 'mounting needs root';

/** A real volume is reached by no path of this host. */
const CONNECTORS = process.env.CINDERFS_TEST_CLOUD === 'lab' ? ['qemu'] : ['local', 'qemu'];

describe('a disk without space', { skip, timeout: 300_000 }, () => {
  for (const connector of CONNECTORS)
    it(`fails every open with a reason, and nothing else (connector ${connector})`, async (t) => {
      const undo = new Undo(t);
      const disk = await smallDisk(undo, 2 ** 20);
      const dir = await temporaryFolder(undo);
      const cloud = await testCloud(undo, dir);
      const [first, second] = cloud.images.filter(({ multiattach, attachable }) => multiattach && attachable);
      assert.ok(first !== undefined && second !== undefined);
      const env = {
        ...cloud.env,
        CINDERFS_CONNECTOR: connector,
        CINDERFS_STATE_DIR: path.join(disk, 'state'),
        CINDERFS_RUN_DIR: path.join(disk, 'run'),
        CINDERFS_LINGER: '1s',
        CINDERFS_OPEN_TIMEOUT: '20s',
      };
      const mounted = await Mounted.start({ dir, env, test: undo });
      const digest = async (id: string): Promise<string> =>
        (await run('sha256sum', [mounted.at(id)])).stdout.slice(0, 64);
      assert.equal(await digest(first.id), first.sha256);
      const filler = fillDisk(disk);
      for (const image of [second, second, second]) {
        const { status, stderr } = await run('head', ['-c1', mounted.at(image.id)]);
        assert.equal(status, 1);
        assert.match(stderr, /Input\/output error/);
        const why = await run('getfattr', [
          '--only-values',
          '-n',
          'user.cinderfs.last_error',
          mounted.at(image.id),
        ]);
        assert.match(why.stdout, /space/);
      }
      assert.match((await run('ls', [mounted.mountpoint])).stdout, new RegExp(second.id));
      await rm(filler);
      for (const image of [first, second])
        await eventually(`${image.name} is readable again`, async () =>
          (await digest(image.id)) === image.sha256 ? true : undefined,
        ).catch((error: unknown) => assert.fail(`${String(error)}\n${mounted.said.slice(-10).join('\n')}`));
      await eventually('everything is let go', async () => {
        const { gauges, open_files: open } = await mounted.status();
        return open.length === 0 && gauges.journal_records === 0 ? true : undefined;
      });
      assert.equal(await mounted.stop('SIGTERM'), 0, mounted.said.join('\n'));
      for (const { volume_id: id } of [first, second])
        assert.deepEqual(await cloud.openstack.attachments.listForVolume(id), []);
      const left = [
        ...(await filesBelow(path.join(disk, 'run'))),
        ...(await filesBelow(path.join(disk, 'state', 'attachments'))),
      ];
      assert.deepEqual([left, await findServers(disk)], [[], []]);
    });
});
