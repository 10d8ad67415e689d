/** Thousands of handles that anybody may hold: what each open costs must not grow with them. Operations are counted, not time. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DirectorySnapshots } from '../../src/fs/fuse/operations/directory-snapshots.js';
import { DirectoryStream } from '../../src/fs/fuse/operations/directory-stream.js';
import type { DirectoryEntry } from '../../src/fs/contract/filesystem.js';
import { Handles } from '../../src/fs/handles.js';
import { StatusFile } from '../../src/fs/tree/status-file.js';
import { ManualClock } from '../fakes/manual-clock.js';

const OWNER = { uid: 0, gid: 0, fileMode: 0o440 };
const MANY = 5000;

function attributes(node: number): DirectoryEntry['attributes'] {
  const owner = { uid: 0, gid: 0, modifiedMs: 0, changedMs: 0 };
  return { node, kind: 'file', permissions: 0o440, size: 1, links: 1, ...owner };
}

describe('many handles', () => {
  it('of the status are made of one text until an image is opened or time has passed', async () => {
    const clock = new ManualClock();
    let [made, changes] = [0, 0];
    const text = (): string => `{"made": ${(made += 1)}}`;
    const status = new StatusFile(text, () => changes, clock, OWNER);
    const texts = new Set(Array.from({ length: MANY }, () => status.snapshot()));
    assert.deepEqual([made, texts.size], [1, 1]);
    changes += 1;
    status.snapshot();
    assert.equal(made, 2);
    await clock.advance(1000);
    status.snapshot();
    assert.equal(made, 3);
  });

  it('of one directory share one snapshot, and old snapshots are given up', () => {
    const snapshots = new DirectorySnapshots();
    let named = 0;
    const listing = (): DirectoryEntry[] =>
      Array.from({ length: 3 }, (_, index) => ({
        get name() {
          named += 1;
          return `image-${index}`;
        },
        attributes: attributes(index + 10),
      }));
    const entries = listing();
    const streams = Array.from({ length: MANY }, () => new DirectoryStream(1, 0, snapshots));
    for (const stream of streams) {
      stream.take(entries);
      assert.ok(stream.page(0, 4096).bytes.length > 0);
    }
    assert.deepEqual([named, snapshots.size], [3, 1]);
    for (let generation = 0; generation < 100; generation += 1)
      new DirectoryStream(1, 0, snapshots).take(listing());
    assert.ok(snapshots.size <= 16);
    assert.equal(streams[0]?.needsSnapshot(4), true, 'who held an old one takes the newest');
  });

  it('of one node are found without looking at all of them, also when they are closed in any order', () => {
    const handles = new Handles();
    const open = (): number =>
      handles.add({ is: 'text', text: Buffer.alloc(0), attributes: attributes(7) }).number;
    const first = open();
    const numbers = Array.from({ length: MANY }, open);
    assert.equal(handles.findByNode(7)?.number, numbers.at(-1));
    for (const number of numbers) handles.remove(number);
    assert.equal(handles.findByNode(7)?.number, first);
    handles.remove(first);
    assert.equal(handles.findByNode(7), undefined);
    assert.equal(handles.size, 0);
  });
});
