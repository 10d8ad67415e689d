/**
 * A file whose reads can be made to hang: it lies on a mount that another process serves, and that process can be
 * stopped. Told anything, it unmounts and ends. Run as a program (`source-process.js MOUNTPOINT BYTES`) it is that other process.
 */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { mountEngine } from '../../src/fs/fuse/engine.js';
import { silentLog } from '../../src/log.js';
import { run } from '../support/program.js';
import { MemoryFilesystem } from './memory-filesystem.js';

export class SourceProcess {
  readonly file: string;
  readonly #child: ChildProcess;

  private constructor(file: string, child: ChildProcess) {
    this.file = file;
    this.#child = child;
  }

  static async start(
    test: { after: (undo: () => Promise<unknown>) => void },
    bytes: number,
  ): Promise<SourceProcess> {
    const dir = await mkdtemp(path.join(tmpdir(), 'cinderfs-source-'));
    const mountpoint = path.join(dir, 'mnt');
    await mkdir(mountpoint);
    const args = [fileURLToPath(import.meta.url), mountpoint, String(bytes)];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    test.after(async () => {
      // Killed, its connection is aborted and every read of it returns: nothing of this test can stay stuck.
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      await run('umount', ['-l', mountpoint]);
      await rm(dir, { recursive: true });
    });
    await once(child, 'message');
    const source = new SourceProcess(path.join(mountpoint, 'source'), child);
    // One close, so that the kernel learns that FLUSH is not wanted: a spawn of ours closes what we have open, and
    // would wait for a FLUSH that a stopped process does not answer.
    await run('dd', [`if=${source.file}`, 'of=/dev/null', 'count=1', 'status=none']);
    return source;
  }

  /** From now on whoever reads the file waits. */
  stop(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }
}

async function serve(mountpoint: string, bytes: number): Promise<void> {
  const transport = await mountEngine(new MemoryFilesystem([{ name: 'source', size: bytes }]), {
    mountpoint,
    fsname: 'cinderfs-test-source',
    // An ordinary user would need user_allow_other in fuse.conf.
    allowOther: process.getuid?.() === 0,
    readTimeoutMs: 600_000,
    openTimeoutMs: 600_000,
    attributeTtlSeconds: 3600,
    passthrough: false,
    log: silentLog,
  });
  process.send?.('ready');
  process.once('message', () => void transport.unmount());
  await transport.ended;
  process.disconnect();
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await serve(process.argv[2] ?? '', Number(process.argv[3]));
