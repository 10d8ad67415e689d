import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { mountEngine } from '../../src/fs/fuse/engine.js';
import type { MountedTransport, TransportOptions } from '../../src/fs/contract/transport.js';
import { silentLog } from '../../src/log.js';
import type { Outcome } from '../support/program.js';
import { run } from '../support/program.js';
import { someBytes } from '../support/seeds.js';
import type { MemoryFile } from './memory-filesystem.js';
import { MemoryFilesystem } from './memory-filesystem.js';

/** Real mounts need the kernel's help; the reason to skip where it is not to be had. */
export const cannotMount = process.getuid?.() === 0 ? false : 'mounting needs root';

export interface EngineMount {
  readonly dir: string;
  readonly filesystem: MemoryFilesystem;
  readonly transport: MountedTransport;
  /** A path under the mount point. */
  readonly at: (name: string) => string;
}

/** An engine mount in a folder of its own, taken down when the test is over. */
export async function mountFiles(
  test: TestContext,
  files: (dir: string) => readonly MemoryFile[] | Promise<readonly MemoryFile[]>,
  options: Partial<TransportOptions> = {},
): Promise<EngineMount> {
  const dir = await mkdtemp(path.join(tmpdir(), 'cinderfs-engine-'));
  const mountpoint = path.join(dir, 'mnt');
  await mkdir(mountpoint);
  const filesystem = new MemoryFilesystem(await files(dir));
  const transport = await mountEngine(filesystem, {
    mountpoint,
    fsname: 'cinderfs-test',
    allowOther: true,
    readTimeoutMs: 30_000,
    openTimeoutMs: 30_000,
    attributeTtlSeconds: 60,
    pieceBytes: 4 * 2 ** 20,
    passthrough: false,
    log: silentLog,
    ...options,
  });
  test.after(async () => {
    await transport.unmount({ abort: true });
    await transport.ended;
    await rm(dir, { recursive: true });
  });
  return { dir, filesystem, transport, at: (name) => path.join(mountpoint, name) };
}

/** A file of random bytes. */
export async function randomFile(file: string, bytes: number): Promise<Buffer> {
  const content = someBytes(bytes);
  await writeFile(file, content);
  return content;
}

/** Reads a file in another process, by each way a program can, and prints what it got as base64 of its SHA-256. */
const READERS = {
  read: 'h.update(open(p, "rb").read())',
  direct: `
m = mmap.mmap(-1, 1 << 20)
f = os.open(p, os.O_RDONLY | os.O_DIRECT)
at = 0
while True:
    n = os.preadv(f, [m], at)
    if n == 0: break
    h.update(m[:n]); at += n`,
  mmap: `
f = open(p, "rb")
h.update(mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ))`,
  sendfile: `
f = os.open(p, os.O_RDONLY)
t = tempfile.TemporaryFile()
at = 0
while True:
    n = os.sendfile(t.fileno(), f, at, 1 << 20)
    if n == 0: break
    at += n
t.seek(0); h.update(t.read())`,
} as const;
export type Way = keyof typeof READERS;
export const WAYS = Object.keys(READERS) as readonly Way[];

/** The hexadecimal SHA-256 of what `way` reads from `file`. */
export async function digestBy(way: Way, file: string): Promise<string> {
  const script = `import hashlib, mmap, os, sys, tempfile\np = sys.argv[1]\nh = hashlib.sha256()\n${READERS[way]}\nprint(h.hexdigest())`;
  const { status, stdout, stderr } = await run('python3', ['-c', script, file]);
  if (status !== 0) throw new Error(`${way} of ${file}: ${stderr}`);
  return stdout.trim();
}

/** cat's complaint and status, its output thrown away: a read or open that is expected to fail. */
export function cat(file: string): Promise<Outcome> {
  return run('dd', [`if=${file}`, 'of=/dev/null', 'bs=64K', 'count=1', 'status=none'], { LC_ALL: 'C' });
}
