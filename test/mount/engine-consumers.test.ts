/** What programs that copy, measure and export files make of ours. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, open, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { undoneAfter } from '../conformance/world.js';
import { cannotMount, mountFiles } from '../fuse/engine-mount.js';
import type { EngineMount } from '../fuse/engine-mount.js';
import { run } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';

const MiB = 2 ** 20;
const SIZE = 64 * MiB + 777;
const DATA = [0, 20 * MiB, 64 * MiB] as const;

interface Scene {
  readonly mount: EngineMount;
  readonly image: string;
  readonly out: string;
  readonly digest: string;
}

/** An image of 64 MiB, 3 MiB of which is data. */
async function scene(t: TestContext): Promise<Scene> {
  const out = await temporaryFolder(undoneAfter(t));
  let source = '';
  const mount = await mountFiles(t, async (dir) => {
    source = path.join(dir, 'volume');
    const file = await open(source, 'w');
    for (const at of DATA) await file.write(Buffer.alloc(Math.min(MiB, SIZE - at), 0xa5), 0, undefined, at);
    await file.truncate(SIZE);
    await file.close();
    return [{ name: 'image', size: SIZE, source: { kind: 'file', path: source } }];
  });
  const digest = createHash('sha256')
    .update(await readFile(source))
    .digest('hex');
  return { mount, image: mount.at('image'), out, digest };
}

async function isSparseCopy(copy: string, digest: string): Promise<void> {
  const { stdout } = await run('sha256sum', [copy]);
  assert.equal(stdout.slice(0, 64), digest, 'the bytes are those of the image');
  const { blocks } = await stat(copy);
  assert.ok(blocks * 512 < 8 * MiB, `${blocks * 512} bytes were written`);
}

async function succeeds(program: string, words: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await run(program, [...words], { LC_ALL: 'C' });
  assert.equal(status, 0, `${program}: ${stderr}`);
  return stdout;
}

describe('programs that copy images', { skip: cannotMount, timeout: 120_000 }, () => {
  it('keep the holes: cp, tar -S, qemu-img', async (t) => {
    const { image, out, digest } = await scene(t);
    await succeeds('cp', ['--sparse=auto', image, path.join(out, 'cp')]);
    await isSparseCopy(path.join(out, 'cp'), digest);
    await succeeds('tar', ['-cSf', path.join(out, 'tar'), '-C', path.dirname(image), 'image']);
    assert.ok((await stat(path.join(out, 'tar'))).size < 8 * MiB);
    await mkdir(path.join(out, 'untar'));
    await succeeds('tar', ['-xSf', path.join(out, 'tar'), '-C', path.join(out, 'untar')]);
    await isSparseCopy(path.join(out, 'untar', 'image'), digest);
    await succeeds('qemu-img', ['convert', '-f', 'raw', '-O', 'raw', image, path.join(out, 'qemu')]);
    // It rounds the size up to whole sectors.
    await succeeds('truncate', ['-s', String(SIZE), path.join(out, 'qemu')]);
    await isSparseCopy(path.join(out, 'qemu'), digest);
  });

  it('keep the holes: rsync', { skip: !existsSync('/usr/bin/rsync') }, async (t) => {
    const { image, out, digest } = await scene(t);
    await succeeds('rsync', ['-aS', image, `${out}/`]);
    await isSparseCopy(path.join(out, 'image'), digest);
    assert.equal(await succeeds('rsync', ['-aSi', image, `${out}/`]), '', 'nothing is copied again');
  });

  it('are not told that an image is one single hole, nor that it takes space here', async (t) => {
    const { image, mount } = await scene(t);
    const { stdout } = await run('stat', ['-c', '%b %B %s', image]);
    const [blocks = 0, unit = 0, size = 0] = stdout.trim().split(' ').map(Number);
    assert.equal(size, SIZE);
    assert.ok(blocks > 0 && blocks * unit <= 4096, stdout);
    assert.ok(Number((await succeeds('du', ['-k', image])).split('\t')[0]) <= 4);
    const used = (await succeeds('df', ['--output=pcent,ipcent', path.dirname(image)])).split('\n')[1];
    assert.match(used ?? '', /^\s*0%\s+0%$/);
    assert.ok(mount.filesystem.calls.open === undefined, 'and nothing was opened for it');
  });
});

/** name_to_handle_at(2), then forgets the inode, then open_by_handle_at(2). */
const BY_HANDLE = `
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
mount, *names = sys.argv[1:]
class Handle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_ubyte * 128)]
handles = []
for name in names:
    handle, id = Handle(bytes=128), ctypes.c_int()
    if libc.name_to_handle_at(-100, os.path.join(mount, name).encode(), ctypes.byref(handle), ctypes.byref(id), 0):
        sys.exit(f"name_to_handle_at {name}: {os.strerror(ctypes.get_errno())}")
    handles.append(handle)
open("/proc/sys/vm/drop_caches", "w").write("2")
root = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
for name, handle in zip(names, handles):
    fd = libc.open_by_handle_at(root, ctypes.byref(handle), os.O_RDONLY)
    if fd < 0: sys.exit(f"open_by_handle_at {name}: {os.strerror(ctypes.get_errno())}")
    if os.path.isdir(f"/proc/self/fd/{fd}"): print(sorted(os.listdir(fd)))
    else: print(len(os.read(fd, 100)))
`;

describe('handles of files', { skip: cannotMount, timeout: 60_000 }, () => {
  it('outlive what the kernel caches of them', async (t) => {
    const { mount } = await scene(t);
    const root = path.dirname(mount.at('image'));
    assert.equal(await succeeds('python3', ['-c', BY_HANDLE, root, 'image', '.']), "100\n['image']\n");
  });
});

/** Opens files or directories as another user, until it is refused. */
const HOARD = `
import errno, os, sys
uid, path, most = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
os.setgid(uid); os.setuid(uid)
held = []
try:
    for _ in range(most):
        held.append(os.open(path, os.O_RDONLY))
        if os.path.isdir(path): os.listdir(held[-1])
except OSError as e: print(len(held), errno.errorcode[e.errno], flush=True)
else: print(len(held), "all", flush=True)
sys.stdin.read()
`;

describe('a user who opens whatever it may', { skip: cannotMount, timeout: 60_000 }, () => {
  it('is refused beyond its share, and others are not', async (t) => {
    const mount = await mountFiles(
      t,
      async (dir) => {
        await writeFile(path.join(dir, 'volume'), 'x');
        return [{ name: 'image', size: 1, source: { kind: 'file', path: path.join(dir, 'volume') } }];
      },
      { handlesPerUser: 40 },
    );
    await chmod(mount.dir, 0o755);
    const root = path.dirname(mount.at('image'));
    const hoard = async (uid: number): Promise<string> =>
      (await run('python3', ['-c', HOARD, String(uid), root, '100'])).stdout.trim();
    assert.equal(await hoard(65534), '40 EMFILE');
    assert.equal(await hoard(65534), '40 EMFILE', 'what was closed counts no more');
    assert.equal(await hoard(0), '100 all', 'root is not limited');
  });
});
