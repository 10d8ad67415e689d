/**
 * A process that is killed while it waits for its own mount to answer must be able to end: while it cannot, the mount has
 * neither an engine nor an end. Run as a program (`prove-serving.test.js MOUNTPOINT`) this is that process.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/async/clock.js';
import { proveServing } from '../../src/daemon/prove-serving.js';
import type { FilesystemStats } from '../../src/fs/contract/filesystem.js';
import { mountEngine } from '../../src/fs/fuse/engine.js';
import { silentLog } from '../../src/log.js';
import { cannotMount } from '../fuse/engine-mount.js';
import { MemoryFilesystem } from '../fuse/memory-filesystem.js';
import { run } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

const OURSELVES = fileURLToPath(import.meta.url);

class SilentFilesystem extends MemoryFilesystem {
  override statfs(): Promise<FilesystemStats> {
    process.send?.('asked');
    return new Promise(() => undefined);
  }
}

async function serveSilently(mountpoint: string): Promise<void> {
  await mountEngine(new SilentFilesystem(), {
    mountpoint,
    fsname: 'cinderfs-test',
    allowOther: true,
    readTimeoutMs: 600_000,
    openTimeoutMs: 600_000,
    attributeTtlSeconds: 60,
    passthrough: false,
    log: silentLog,
  });
  await proveServing(mountpoint, systemClock);
}

if (process.argv[2] !== undefined) await serveSilently(process.argv[2]);
else
  it(
    'ends when it is killed while it waits for its own mount',
    { skip: cannotMount, timeout: 60_000 },
    async (t) => {
      const undo = new Undo(t);
      const mountpoint = path.join(await temporaryFolder(undo), 'mnt');
      await mkdir(mountpoint);
      const child = spawn(process.execPath, [OURSELVES, mountpoint], {
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      undo.after(async () => {
        // -f ends the connection, and with it whoever still waits for it.
        await run('umount', ['-f', mountpoint]);
        await run('umount', ['-l', mountpoint]);
      });
      await once(child, 'message');
      const ended = once(child, 'exit', { signal: AbortSignal.timeout(10_000) });
      child.kill('SIGKILL');
      assert.deepEqual(await ended, [null, 'SIGKILL']);
    },
  );
