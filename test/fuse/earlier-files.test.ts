import assert from 'node:assert/strict';
import { readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import type { OpenFile } from '../../src/fs/contract/filesystem.js';
import { Backings } from '../../src/fs/fuse/files/backings.js';
import { Descriptors } from '../../src/fs/fuse/files/descriptors.js';
import { RestoredFiles } from '../../src/fs/fuse/files/restored-files.js';
import { OpenFiles } from '../../src/fs/fuse/files/open-files.js';
import { OpenJournal } from '../../src/fs/fuse/recovery/open-journal.js';
import { handleNumber } from '../../src/fs/fuse/shared/shared-handles.js';
import { silentLog } from '../../src/log.js';
import { MountSources } from '../../src/sources/mount-sources.js';
import { sourceKinds } from '../../src/sources/registry.js';
import { eventually } from '../support/eventually.js';
import { temporaryFolder } from '../support/temporary.js';

it('files that are being rebuilt when the mount ends are given back when they are', async (t) => {
  const dir = await temporaryFolder(t);
  const image = path.join(dir, 'image');
  writeFileSync(image, 'bytes');
  const file = path.join(dir, 'open-files');
  const record = { fh: handleNumber(1, 1), node: 7, unique: '2', memo: {} };
  (await OpenJournal.open(file, { fresh: true })).opened(record);
  const journal = await OpenJournal.open(file, { fresh: false });
  t.after(() => journal.remove());
  const files = new OpenFiles({
    descriptors: new Descriptors(new MountSources(sourceKinds(), 1)),
    backings: new Backings(undefined, silentLog),
    onFenced: () => undefined,
    journal,
  });
  let attached: (opened: OpenFile) => void = () => undefined;
  const released: number[] = [];
  const filesystem = {
    reopen: () => new Promise<OpenFile>((resolve) => (attached = resolve)),
    readFailed: () => undefined,
    release: (handle: number) => void released.push(handle),
  };
  const earlier = new RestoredFiles({ journal, filesystem, files });
  const rebuilt = earlier.rebuild();
  // As a session ends.
  earlier.abandon();
  for (const fh of files.numbers()) files.remove(fh);
  const source = { kind: 'file', path: image } as const;
  attached({ handle: 4, node: 7, size: 5, source, fenced: new AbortController().signal });
  await rebuilt;
  assert.deepEqual([released, files.numbers()], [[4], []]);
  const open = (): number => readdirSync('/proc/self/fd').filter((fd) => linkOf(fd) === image).length;
  await eventually('its descriptor is closed', () => Promise.resolve(open() === 0 ? true : undefined));
});

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return '';
  }
}
