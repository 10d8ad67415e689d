/** By what a mount is known, whichever mount(8) this host has. */
import assert from 'node:assert/strict';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { mountAsRoot } from '../../src/fs/mount/mount-command.js';
import { findMount } from '../../src/sys/mounts/mount-table.js';
import { run } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

const skip = process.getuid?.() === 0 ? false : 'mounting needs root';
const NEW_MOUNT = fileURLToPath(new URL('../../../test/mount/new-mount.py', import.meta.url));

describe('the type of a mount', { skip }, () => {
  for (const [which, path] of [
    ['the mount(8) of this host', undefined],
    ['the mount(8) of util-linux 2.39 and later', NEW_MOUNT],
  ] as const)
    it(`is fuse.cinderfs by ${which}`, async (t) => {
      const undo = new Undo(t);
      const dir = await temporaryFolder(undo);
      const mountpoint = `${dir}/with space and ü`;
      await mkdir(mountpoint);
      if (path !== undefined) await inPath(undo, dir, path);
      const device = await mountAsRoot({ mountpoint, fsname: 'cinderfs:test', allowOther: true });
      undo.after(() => device.close());
      undo.after(() => run('umount', ['-l', mountpoint]));
      const mount = await findMount(mountpoint);
      assert.deepEqual([mount?.type, mount?.source], ['fuse.cinderfs', 'cinderfs:test']);
    });
});

/** Puts `program` before mount(8). */
async function inPath(undo: Undo, dir: string, program: string): Promise<void> {
  const bin = path.join(dir, 'bin');
  await mkdir(bin);
  await writeFile(path.join(bin, 'mount'), `#!/bin/sh\nexec python3 ${program} "$@"\n`);
  await chmod(path.join(bin, 'mount'), 0o755);
  const before = process.env.PATH;
  process.env.PATH = `${bin}:${before ?? ''}`;
  undo.after(() => Promise.resolve(void (process.env.PATH = before)));
}
