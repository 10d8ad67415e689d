import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { createImageFs } from '../../../src/fs/create-image-fs.js';
import { memoOf } from '../../../src/fs/file-memo.js';
import { Backings } from '../../../src/fs/fuse/files/backings.js';
import { Descriptors } from '../../../src/fs/fuse/files/descriptors.js';
import { RestoredFiles } from '../../../src/fs/fuse/files/restored-files.js';
import { OpenFiles } from '../../../src/fs/fuse/files/open-files.js';
import { OpenJournal } from '../../../src/fs/fuse/recovery/open-journal.js';
import { closing, opening } from '../../../src/fs/fuse/recovery/open-record.js';
import { MountSources } from '../../../src/sources/mount-sources.js';
import { sourceKinds } from '../../../src/sources/registry.js';
import { FakeCatalog, fakeImage } from '../../fakes/fs-catalog.js';
import { FakePool } from '../../fakes/fs-pool.js';
import { ManualClock } from '../../fakes/manual-clock.js';
import { temporaryFolder } from '../../support/temporary.js';
import type { Undo } from '../../support/undo.js';
import { attemptLater, watchedLog, type Run, type Target } from '../target.js';

const image = fakeImage({ id: 'aaaaaaaa-0000-4000-8000-000000000001', size: 5000 });
const attributes = {
  node: 77,
  kind: 'file' as const,
  permissions: 0o440,
  size: 5000,
  links: 1,
  uid: 0,
  gid: 0,
  modifiedMs: 1,
  changedMs: 1,
};
const imageMemo = memoOf({ is: 'image', image, attributes });
const textMemo = memoOf({ is: 'text', attributes });

/** The journal of open files, read by the engine that comes after: up to every file being open again, or failing alone. */
export const openFiles: Target = {
  name: 'open-files',
  seeds: [
    Buffer.from(
      [
        closing(3),
        opening({ fh: 4, node: 77, unique: '18', uid: 0, memo: imageMemo }),
        opening({ fh: 5, node: 78, unique: '20', memo: textMemo }),
        opening({ fh: 6, node: 77, unique: '22', uid: 1000, backingId: 1, memo: imageMemo }),
        closing(5),
      ].join(''),
    ),
    Buffer.from(opening({ fh: 1, node: 1, unique: '2', memo: {} })),
  ],
  words: ['{"closed":', '{"fh":', '\n', '9007199254740991', '"unique":"', '1e3', '__proto__'],
  open,
};

async function open(undo: Undo): Promise<Run> {
  const folder = await temporaryFolder(undo);
  const file = path.join(folder, 'open-files');
  const volume = path.join(folder, 'volume');
  writeFileSync(volume, Buffer.alloc(5000));
  return async (input) => {
    writeFileSync(file, input);
    const { log, check } = watchedLog();
    const journal = await OpenJournal.open(file, { fresh: false });
    const clock = new ManualClock();
    const pool = new FakePool(() => ({ kind: 'file', path: volume }));
    const filesystem = createImageFs({
      catalog: new FakeCatalog([image]),
      pool,
      clock,
      log,
      status: () => '{}',
    });
    const files = new OpenFiles({
      descriptors: new Descriptors(new MountSources(sourceKinds(), 1)),
      backings: new Backings(undefined, log),
      onFenced: () => undefined,
    });
    const earlier = new RestoredFiles({ journal, filesystem, files });
    for (const { fh, unique } of journal.earlier) {
      if (fh > journal.last) throw new Error(`number ${fh} may be given again`);
      const opened = await attemptLater(() => earlier.get(fh));
      if (opened !== undefined) await attemptLater(() => filesystem.read(opened.file.handle, 0, 10));
      await attemptLater(() => earlier.openedBy(BigInt(unique)));
    }
    for (const { fh } of journal.earlier) {
      earlier.close(fh);
      const left = files.remove(fh);
      if (left !== undefined) filesystem.release(left.handle);
    }
    filesystem.close();
    journal.remove();
    check();
    if (pool.leases > 0) throw new Error(`${pool.leases} leases are held`);
  };
}
