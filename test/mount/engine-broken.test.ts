import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { CinderfsError } from '../../src/errors.js';
import { serve } from '../../src/fs/fuse/engine.js';
import { mountAsRoot } from '../../src/fs/mount/mount-command.js';
import { silentLog } from '../../src/log.js';
import { undoneAfter } from '../conformance/world.js';
import { cannotMount } from '../fuse/engine-mount.js';
import { MemoryFilesystem } from '../fuse/memory-filesystem.js';
import { mountsBelow } from '../support/leftovers.js';
import { temporaryFolder } from '../support/temporary.js';

const OPTIONS = {
  fsname: 'cinderfs-test',
  allowOther: true,
  readTimeoutMs: 30_000,
  openTimeoutMs: 30_000,
  attributeTtlSeconds: 60,
  passthrough: false,
  log: silentLog,
};

describe('an engine whose threads die one after the other', { skip: cannotMount, timeout: 60_000 }, () => {
  it('says so instead of ending as if the mount had ended, and can be unmounted', async (t) => {
    const undo = undoneAfter(t);
    const dir = await temporaryFolder(undo);
    const mountpoint = path.join(dir, 'mnt');
    await mkdir(mountpoint);
    const options = { ...OPTIONS, mountpoint };
    const { fd: fuseFd, close } = await mountAsRoot(options);
    const threads = { take: () => new Worker('process.exit(3)', { eval: true }) };
    const transport = serve(new MemoryFilesystem(), options, { fuseFd, close, threads });
    undo.after(() => transport.unmount({ abort: true }));
    await assert.rejects(
      transport.ended,
      (error) => CinderfsError.is(error) && error.message.includes('too many threads'),
    );
    assert.equal((await mountsBelow(dir)).length, 1, 'the mount stands');
    await transport.unmount({ abort: true });
    assert.equal((await mountsBelow(dir)).length, 0);
  });
});
