import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { it } from 'node:test';
import { Backings } from '../../src/fs/fuse/files/backings.js';
import { Descriptors } from '../../src/fs/fuse/files/descriptors.js';
import { OpenFiles } from '../../src/fs/fuse/files/open-files.js';
import { MountSources } from '../../src/sources/mount-sources.js';
import { sourceKinds } from '../../src/sources/registry.js';
import { silentLog } from '../../src/log.js';

it('a file that is closed leaves nothing behind on the signal that it shares with others', async () => {
  const files = new OpenFiles({
    descriptors: new Descriptors(new MountSources(sourceKinds(), 1)),
    backings: new Backings(undefined, silentLog),
    onFenced: () => undefined,
  });
  const { signal: fenced } = new AbortController();
  for (const fh of [1, 2, 3])
    await files.rebuild(
      { fh, node: 7, unique: '2', memo: {} },
      { handle: fh, node: 7, size: 1, source: undefined, fenced },
    );
  assert.equal(getEventListeners(fenced, 'abort').length, 3);
  for (const fh of [1, 2, 3]) files.remove(fh);
  assert.equal(getEventListeners(fenced, 'abort').length, 0);
});
