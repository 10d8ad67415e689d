import assert from 'node:assert/strict';
import { fstatSync, readdirSync, readlinkSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import { type Descriptor, Descriptors } from '../../src/fs/fuse/files/descriptors.js';
import { MountSources } from '../../src/sources/mount-sources.js';
import { sourceKinds } from '../../src/sources/registry.js';
import { eventually } from '../support/eventually.js';
import { temporaryFolder } from '../support/temporary.js';

describe('descriptors', () => {
  it('are of the connection that was made last, for whoever opens then', async (t) => {
    const file = path.join(await temporaryFolder(t), 'device');
    const source = { kind: 'file', path: file } as const;
    const descriptors = new Descriptors(new MountSources(sourceKinds(), 1));
    const acquire = async (connection: number): Promise<Descriptor> => {
      const descriptor = await descriptors.acquire(source, 3, connection);
      assert.ok(descriptor);
      return descriptor;
    };
    writeFileSync(file, 'old');
    const old = [await acquire(1), await acquire(1)] as const;
    assert.equal(old[0], old[1], 'shared');
    rmSync(file);
    writeFileSync(file, 'new');
    const fresh = [await acquire(2), await acquire(2)] as const;
    assert.equal(fresh[0], fresh[1], 'shared');
    assert.deepEqual([textOf(old[0]), textOf(fresh[0])], ['old', 'new']);
    for (const descriptor of [...old, ...fresh]) descriptors.release(descriptor);
    for (const { published } of [old[0], fresh[0]])
      await eventually('it is closed', () => Promise.resolve(isOpen(published.slot) ? undefined : true));
  });

  // As on a share whose server has forgotten the file (ESTALE): the open succeeds, the next question does not.
  for (const kind of ['file', 'device'] as const)
    it(`leave no ${kind} open that could not be asked what it is`, async (t) => {
      const file = path.join(await temporaryFolder(t), 'device');
      writeFileSync(file, 'bytes');
      const descriptors = new Descriptors(new MountSources(sourceKinds(), 1));
      const other = await open(file);
      const handles = Object.getPrototypeOf(other) as typeof other;
      await other.close();
      t.mock.method(handles, 'stat', () => Promise.reject(new Error('stale file handle')));
      await assert.rejects(descriptors.acquire({ kind, path: file }, 5, 1), /stale file handle/);
      await eventually('it is closed', () =>
        Promise.resolve(openFilesAt(file).length === 0 ? true : undefined),
      );
    });

  it('are refused, and closed, where the file is shorter than the image', async (t) => {
    const file = path.join(await temporaryFolder(t), 'short');
    writeFileSync(file, 'old');
    const descriptors = new Descriptors(new MountSources(sourceKinds(), 1));
    await assert.rejects(descriptors.acquire({ kind: 'file', path: file }, 4), {
      code: 'read_failed',
      message: /ends at byte 3, the image has 4/,
    });
    await eventually('it is closed', () =>
      Promise.resolve(openFilesAt(file).length === 0 ? true : undefined),
    );
  });
});

function textOf({ published }: Descriptor): string {
  const bytes = Buffer.alloc(3);
  readSync(published.slot, bytes, 0, 3, 0);
  return bytes.toString();
}

/** Descriptors of this process that lead to `file`. */
function openFilesAt(file: string): readonly string[] {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === file;
    } catch {
      // The descriptor of the listing itself is closed by now.
      return false;
    }
  });
}

function isOpen(fd: number): boolean {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
}
