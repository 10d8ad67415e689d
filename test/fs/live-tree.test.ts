import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LiveTree } from '../../src/fs/tree/live-tree.js';
import { FakeCatalog, fakeImage } from '../fakes/fs-catalog.js';

const OWNER = { uid: 0, gid: 0, fileMode: 0o440 };

describe('the live tree', () => {
  it('is built again when an image changed, and only then', () => {
    const catalog = new FakeCatalog([fakeImage({ id: 'a' }), fakeImage({ id: 'b' })]);
    const live = new LiveTree(catalog, OWNER);
    const first = live.current;
    catalog.set([fakeImage({ id: 'a' }), fakeImage({ id: 'b' })]);
    assert.equal(live.current, first);
    catalog.set([fakeImage({ id: 'a' }), fakeImage({ id: 'b', hashValue: 'f00d' })]);
    assert.notEqual(live.current, first);
    live.close();
  });

  it('announces what left or changed, once, until it is closed', () => {
    const catalog = new FakeCatalog([fakeImage({ id: 'a' }), fakeImage({ id: 'b' })]);
    const live = new LiveTree(catalog, OWNER);
    const names: string[] = [];
    live.onChange(({ name }) => names.push(name));
    catalog.set([fakeImage({ id: 'a' })]);
    assert.deepEqual(names.sort(), ['b', 'image b']);
    live.close();
    assert.equal(catalog.listeners, 0);
  });
});
