import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { buildImageTree, type ImageTree } from '../../src/fs/tree/image-tree.js';
import { assignNodeIds, hashToNode } from '../../src/fs/tree/node-ids.js';
import { changedEntries } from '../../src/fs/tree/tree-changes.js';
import type { CatalogImage } from '../../src/cinder/contract/catalog.js';
import { fakeImage } from '../fakes/fs-catalog.js';
import { assertProperty } from '../support/seeds.js';

const OWNER = { uid: 0, gid: 36, fileMode: 0o440 };

describe('node ids', () => {
  it('are the same in every process, below 2^52', () => {
    assert.equal(hashToNode('image:x'), 2360270682771595);
    assertProperty(fc.property(fc.string(), (key) => hashToNode(key) < 2 ** 52));
  });

  it('are distinct, stable and never those of the root, also when hashes collide', () => {
    const keys = fc.uniqueArray(fc.string(), { maxLength: 12 });
    const collide = (key: string): number => Number(/#(\d+)$/.exec(key)?.[1] ?? key.length % 3);
    assertProperty(
      fc.property(keys, keys, (before, after) => {
        const previous = assignNodeIds(before, undefined, collide);
        const ids = assignNodeIds(after, previous, collide);
        assert.equal(new Set(ids.values()).size, after.length);
        for (const [key, id] of ids) {
          assert.ok(id > 1);
          if (previous.has(key)) assert.equal(id, previous.get(key));
        }
        assert.deepEqual(
          assignNodeIds([...before].reverse(), undefined, collide),
          new Map([...previous].reverse()),
        );
      }),
    );
  });
});

describe('the image tree', () => {
  it('lists images by id and by name, and hides .cinderfs', () => {
    const tree = treeOf([fakeImage({ id: 'b', name: 'beta/1' }), fakeImage({ id: 'a', name: 'alpha' })]);
    assert.deepEqual(
      tree.root.entries.map(({ name }) => name),
      ['a', 'b', 'by-name'],
    );
    const byName = tree.root.children.get('by-name');
    assert.ok(byName?.is === 'directory');
    const links = byName.entries.map(({ name }) => [name, byName.children.get(name)]);
    assert.deepEqual(
      links.map(([name, node]) => [name, (node as { target: string }).target]),
      [
        ['alpha', '../a'],
        ['beta%2F1', '../b'],
      ],
    );
    const hidden = tree.root.children.get('.cinderfs');
    assert.ok(hidden?.is === 'directory' && hidden.children.has('status'));
  });

  it('shows the size, owner, mode and content time of the image', () => {
    const tree = treeOf([
      fakeImage({ id: 'a', size: 123, createdAt: new Date(5000), updatedAt: new Date(9000) }),
    ]);
    const { node, ...attributes } = tree.root.children.get('a') ? attributesOf(tree, 'a') : { node: 0 };
    assert.equal(node, hashToNode('image:a'));
    assert.deepEqual(attributes, {
      kind: 'file',
      permissions: 0o440,
      size: 123,
      links: 1,
      uid: 0,
      gid: 36,
      modifiedMs: 5000,
      changedMs: 5000,
    });
  });

  it('holds 10,000 images, names repeated, and is the same when built again', () => {
    const images = Array.from({ length: 10_000 }, (_, index) =>
      fakeImage({ id: `id ${index}`, name: `image ${index % 7000}` }),
    );
    const tree = treeOf(images);
    const again = treeOf(images, 2, tree);
    assert.equal(tree.nodes.size, 20_004);
    assert.deepEqual(changedEntries(tree, again), []);
  });

  it('keeps the times of directories until something comes or goes', () => {
    const one = treeOf([fakeImage({ id: 'a' })], 1);
    const same = treeOf([fakeImage({ id: 'a' })], 2, one);
    const more = treeOf([fakeImage({ id: 'a' }), fakeImage({ id: 'b' })], 3, same);
    assert.deepEqual(
      [one, same, more].map(({ root }) => root.attributes.modifiedMs),
      [1000, 1000, 3000],
    );
  });

  it('reports the names that are gone or mean something else', () => {
    const before = treeOf([
      fakeImage({ id: 'a', name: 'x' }),
      fakeImage({ id: 'b' }),
      fakeImage({ id: 'c' }),
    ]);
    const after = treeOf([fakeImage({ id: 'a', name: 'y' }), fakeImage({ id: 'b', size: 99 })], 2, before);
    const names = changedEntries(before, after).map(({ name }) => name);
    assert.deepEqual(names.sort(), ['b', 'c', 'image c', 'x']);
  });
});

function treeOf(images: CatalogImage[], generation = 1, previous?: ImageTree): ImageTree {
  const snapshot = {
    generation,
    at: generation * 1000,
    images: new Map(images.map((image) => [image.id, image])),
  };
  return buildImageTree(snapshot, OWNER, previous);
}

function attributesOf(tree: ImageTree, name: string): { node: number } {
  const node = tree.root.children.get(name);
  assert.ok(node?.is === 'image');
  return node.attributes;
}
