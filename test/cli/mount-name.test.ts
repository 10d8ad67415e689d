/** What was typed, and the mount that it means. */
import assert from 'node:assert/strict';
import { mkdir, realpath, symlink } from 'node:fs/promises';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { mountCalled, nameOfMount } from '../../src/fs/mount/mount-name.js';
import { parseMountTable, type MountEntry } from '../../src/sys/mounts/mount-table.js';
import { temporaryFolder } from '../support/temporary.js';

/** `real dir/bilder ü` is where the mount is; `images` and `srv` are links to it and to its parent. */
async function scene(
  t: TestContext,
): Promise<{ dir: string; mountpoint: string; table: readonly MountEntry[] }> {
  const dir = await realpath(await temporaryFolder(t));
  const mountpoint = path.join(dir, 'real dir', 'bilder ü');
  await mkdir(mountpoint, { recursive: true });
  await symlink(mountpoint, path.join(dir, 'images'));
  await symlink('real dir', path.join(dir, 'srv'));
  await symlink('images/', path.join(dir, 'again'));
  await symlink('loop', path.join(dir, 'loop'));
  const line = `36 1 0:52 / ${mountpoint.replaceAll(' ', '\\040')} ro - fuse.cinderfs cinderfs:x ro,user_id=0`;
  return { dir, mountpoint, table: parseMountTable(`${line}\n`) };
}

describe('the name of a mount', () => {
  it('is one, however it is typed', async (t) => {
    const { dir, mountpoint, table } = await scene(t);
    const typed = [
      mountpoint,
      `${mountpoint}/`,
      `${dir}/images`,
      `${dir}/images///`,
      `${dir}/again/.`,
      `${dir}/srv/bilder ü`,
      `${dir}/srv/../images`,
      `${dir}/images/x/..`,
      `${dir}/images/../bilder ü`,
      path.relative(process.cwd(), mountpoint),
      `./${path.relative(process.cwd(), `${dir}/images`)}/`,
    ];
    for (const word of typed) {
      assert.deepEqual(await nameOfMount(word, table), { mountpoint, inside: '' }, word);
      // The same where nothing is mounted yet, or any more.
      assert.deepEqual((await nameOfMount(word, [])).mountpoint, mountpoint, word);
    }
  });

  it('is that of the mount that a file is in, which is not asked', async (t) => {
    const { dir, mountpoint, table } = await scene(t);
    for (const word of [
      `${dir}/images/by-name/a b`,
      `${mountpoint}/by-name//a b`,
      `${dir}/srv/bilder ü/./by-name/a b`,
    ])
      assert.deepEqual(await nameOfMount(word, table), { mountpoint, inside: 'by-name/a b' });
  });

  it('is what was typed where the directory does not exist any more', async (t) => {
    const { dir } = await scene(t);
    const gone = path.join(dir, 'real dir', 'gone', 'images');
    assert.deepEqual(await nameOfMount(`${dir}/srv/gone/images/`, []), { mountpoint: gone, inside: '' });
  });

  it('is refused where there can be none, and for a file where the mount is meant', async (t) => {
    const { dir } = await scene(t);
    for (const word of ['', 'a\0b', `${dir}/loop`, `${dir}/loop/x`])
      await assert.rejects(nameOfMount(word, []), { code: 'usage' });
    await assert.doesNotReject(mountCalled(dir));
  });
});
