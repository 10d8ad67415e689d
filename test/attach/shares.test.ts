import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { directoryOfShare } from '../../src/attach/connectors/local/shares.js';
import { readMountTable } from '../../src/sys/mounts/mount-table.js';
import { cannotMount } from '../fuse/engine-mount.js';
import { run } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

const IMPOSTOR = fileURLToPath(new URL('../../../test/attach/share-impostor.py', import.meta.url));

const SHARE = 'filer:/export';
async function found(
  test: TestContext,
  protocol: string,
  lines: readonly string[],
  base?: string,
): Promise<string> {
  const file = join(await temporaryFolder(test), 'mountinfo');
  await writeFile(file, lines.map((line, index) => `${index + 30} 1 0:${index + 40} ${line}\n`).join(''));
  return directoryOfShare(protocol, SHARE, base, () => readMountTable(file));
}

describe('a share that is mounted here', () => {
  it('is known by its type and by root as the one who mounted it', async (test) => {
    const nfs = `/ /mnt/my\\040share rw,relatime - nfs4 ${SHARE} rw,vers=4.2`;
    assert.equal(await found(test, 'nfs', [nfs]), '/mnt/my share');
    const gluster = '/ /mnt/g rw - fuse.glusterfs filer:/export rw,user_id=0,group_id=0,allow_other';
    assert.equal(await found(test, 'glusterfs', [gluster]), '/mnt/g');
  });

  const impostors: Record<string, readonly [protocol: string, ...lines: string[]]> = {
    'a FUSE mount of an ordinary user that says it is NFS': [
      'nfs',
      `/ /home/n/d rw,nosuid,nodev - fuse.nfs4 ${SHARE} rw,user_id=65534,group_id=65534,allow_other`,
    ],
    'one that says it is the FUSE file system of the protocol': [
      'glusterfs',
      `/ /home/n/d rw,nosuid,nodev - fuse.glusterfs ${SHARE} rw,user_id=65534,group_id=65534`,
    ],
    'one of user 01': ['glusterfs', `/ /d rw - fuse.glusterfs ${SHARE} rw,user_id=01`],
    'another protocol': ['glusterfs', `/ /mnt/d rw - nfs4 ${SHARE} rw`],
    'a disk with such a name': ['nfs', `/ /mnt/d rw - ext4 ${SHARE} rw`],
    'a part of the share that is mounted elsewhere': ['nfs', `/part /mnt/d rw - nfs4 ${SHARE} rw`],
    'one that another mount hides': [
      'nfs',
      `/ /mnt/d rw - nfs4 ${SHARE} rw`,
      `/ /mnt/d rw,nosuid - fuse.x y rw,user_id=65534`,
    ],
    nothing: ['nfs'],
  };
  for (const [what, [protocol, ...lines]] of Object.entries(impostors))
    it(`is not ${what}`, async (test) => {
      await assert.rejects(found(test, protocol, lines), { code: 'protocol_unsupported' });
    });

  for (const [protocol, type] of [
    ['nfs', 'fuse.nfs4'],
    ['nfs', 'fuse.nfs'],
    ['glusterfs', 'fuse.glusterfs'],
  ] as const)
    it(
      `is no ${type} that user 65534 mounted under the name of the share`,
      { skip: cannotMount },
      async (test) => {
        const undo = new Undo(test);
        const directory = await temporaryFolder(undo);
        const share = `filer:${directory}`;
        const server = spawn('python3', [IMPOSTOR, share, directory, type, 'volume-1'], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        const gone = once(server, 'close');
        undo.after(async () => {
          await run('umount', ['-l', directory]);
          await gone;
        });
        await once(server.stdout, 'data');
        // It stands, root can read it, and its name in the mount table is the share's.
        assert.equal((await readFile(join(directory, 'volume-1'), 'latin1')).slice(0, 4), 'EVIL');
        const lines = await readMountTable();
        assert.ok(lines.some((line) => line.source === share && line.type === type));
        await assert.rejects(directoryOfShare(protocol, share, undefined), { code: 'protocol_unsupported' });
      },
    );

  it('is found where os-brick mounts it', async (test) => {
    const directory = `/var/lib/nova/mnt/${createHash('md5').update(SHARE).digest('hex')}`;
    const lines = [`/ ${directory} rw - nfs 192.0.2.1:/export rw`];
    assert.equal(await found(test, 'nfs', lines, '/var/lib/nova/mnt'), directory);
    await assert.rejects(found(test, 'nfs', lines, '/elsewhere'), { code: 'protocol_unsupported' });
  });
});
