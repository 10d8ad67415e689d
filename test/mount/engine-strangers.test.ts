/** A user of this host who may not read the images, and what it can learn of them. */
import assert from 'node:assert/strict';
import { chmod } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import { mountEngine } from '../../src/fs/fuse/engine.js';
import { mountWorld } from '../conformance/mounted.js';
import { makeWorld } from '../conformance/world.js';
import { cannotMount } from '../fuse/engine-mount.js';
import { run } from '../support/program.js';

/** What each attempt comes to, as user nobody. */
const STRANGER = `
import errno, os, sys
root, image = sys.argv[1:]
os.setgroups([]); os.setgid(65534); os.setuid(65534)
def attempt(what, call):
    try: call(); print(what, "done")
    except OSError as e: print(what, errno.errorcode[e.errno])
attempt("list", lambda: os.listdir(root))
attempt("names", lambda: os.listdir(root + "/by-name"))
attempt("status", lambda: os.open(root + "/.cinderfs/status", os.O_RDONLY))
attempt("stat", lambda: os.stat(root + "/" + image))
attempt("attributes", lambda: os.listxattr(root + "/" + image))
attempt("open", lambda: os.open(root + "/" + image, os.O_RDONLY))
`;

const NOTHING = ['list', 'names', 'status', 'stat', 'attributes', 'open'].map((what) => `${what} EACCES`);

describe('a user who may not read the images', { skip: cannotMount, timeout: 60_000 }, () => {
  it('learns neither names nor sizes nor the status, and costs nothing', async (t) => {
    const world = await makeWorld(t);
    const { mountpoint } = await mountWorld(world, mountEngine);
    await chmod(path.dirname(mountpoint), 0o755);
    const { stdout } = await run('python3', ['-c', STRANGER, mountpoint, world.raw.image.id]);
    assert.deepEqual(stdout.trim().split('\n'), NOTHING);
    assert.deepEqual([world.pool.attaches, world.catalog.refreshes, world.filesystem.openFiles], [0, 0, 0]);
  });

  it('sees names where the list is open, and neither bytes nor the status', async (t) => {
    const world = await makeWorld(t, { openListing: true });
    const { mountpoint } = await mountWorld(world, mountEngine);
    await chmod(path.dirname(mountpoint), 0o755);
    const { stdout } = await run('python3', ['-c', STRANGER, mountpoint, world.raw.image.id]);
    const outcomes = new Map(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.split(' ') as [string, string]),
    );
    assert.deepEqual(
      [outcomes.get('list'), outcomes.get('names'), outcomes.get('stat')],
      ['done', 'done', 'done'],
    );
    assert.deepEqual([outcomes.get('status'), outcomes.get('open')], ['EACCES', 'EACCES']);
    assert.equal(world.pool.attaches, 0);
  });
});
