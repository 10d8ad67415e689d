import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { nameOf, encodeName } from '../../src/fs/tree/file-names.js';
import { ROOT_NODE } from '../../src/fs/contract/filesystem.js';
import { buildImageTree, nodeIdOf } from '../../src/fs/tree/image-tree.js';
import { wantedBy } from '../../src/fs/tree/image-wanted.js';
import { fakeImage } from '../fakes/fs-catalog.js';

const ID = 'c0ffee00-0000-4000-8000-00000000beef';

const tree = buildImageTree(
  {
    generation: 1,
    at: 0,
    images: new Map(
      [fakeImage({ id: ID, name: 'debian' }), fakeImage({ id: 'old', name: 'debian', hidden: true })].map(
        (image) => [image.id, image],
      ),
    ),
  },
  { uid: 0, gid: 0, fileMode: 0o440 },
);
const byName = tree.root.children.get('by-name');
const byNameId = byName === undefined ? 0 : nodeIdOf(byName);

describe('an unknown name', () => {
  it('is asked for where an image can have it, as what it stands for', () => {
    assert.deepEqual(wantedBy(tree, ROOT_NODE, ID), { id: ID });
    assert.deepEqual(wantedBy(tree, byNameId, 'a%2Fb'), { names: ['a/b'] });
    assert.deepEqual(wantedBy(tree, byNameId, 'debian~0a1b2c3d'), { names: ['debian~0a1b2c3d', 'debian'] });
    assert.deepEqual(wantedBy(tree, byNameId, `debian~${ID}`), { id: ID });
  });

  it('costs no question where no image can have it', () => {
    for (const name of ['nobody', 'lost+found', '.Trash', 'autorun.inf', ID.toUpperCase()])
      assert.equal(wantedBy(tree, ROOT_NODE, name), undefined, name);
    for (const name of ['.git', '%2e', '%zz', '%', 'a\u0000b', '%ED%A0%80'])
      assert.equal(wantedBy(tree, byNameId, name), undefined, name);
    assert.equal(wantedBy(tree, 999_999, ID), undefined);
  });

  it('is decoded as it was encoded', () => {
    for (const name of ['debian 12', 'a/b%c', '..', '\u202e', 'ü'.repeat(50), 'x~y'])
      assert.equal(nameOf(encodeName(name)), name);
  });
});

describe('a hidden image', () => {
  it('has its id, and leaves its name to the one that superseded it', () => {
    assert.ok(tree.root.children.has('old'));
    assert.ok(byName?.is === 'directory');
    assert.deepEqual([...byName.children.keys()], ['debian']);
  });
});
