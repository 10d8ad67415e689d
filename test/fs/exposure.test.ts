/** What everybody on the host may see, and how the kernel finds what it has forgotten. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ROOT_NODE } from '../../src/fs/contract/filesystem.js';
import type { ImageFs } from '../../src/fs/image-fs.js';
import { makeWorld } from '../conformance/world.js';

async function walk(filesystem: ImageFs, ...names: readonly string[]): Promise<number> {
  let node = ROOT_NODE;
  for (const name of names) ({ node } = await filesystem.lookup(node, name));
  return node;
}

async function modes(filesystem: ImageFs): Promise<string[]> {
  const nodes = [ROOT_NODE, await walk(filesystem, 'by-name'), await walk(filesystem, '.cinderfs')];
  nodes.push(await walk(filesystem, '.cinderfs', 'status'));
  const all = await Promise.all(nodes.map((node) => filesystem.getattr(node)));
  return all.map(({ permissions }) => permissions.toString(8));
}

describe('names, sizes and status', () => {
  it('are for whoever may read the files; the status is for the owner', async (t) => {
    assert.deepEqual(await modes((await makeWorld(t)).filesystem), ['550', '550', '550', '400']);
    const everybody = await makeWorld(t, { fileMode: 0o444 });
    assert.deepEqual(await modes(everybody.filesystem), ['555', '555', '555', '400']);
    const owner = await makeWorld(t, { fileMode: 0o400 });
    assert.deepEqual(await modes(owner.filesystem), ['500', '500', '500', '400']);
  });

  it('are open where the operator says so, and the bytes are not', async (t) => {
    const { filesystem, raw } = await makeWorld(t, { openListing: true });
    assert.deepEqual(await modes(filesystem), ['555', '555', '555', '400']);
    const image = await filesystem.getattr(await walk(filesystem, raw.image.id));
    assert.equal(image.permissions, 0o440);
  });
});

describe('a name that is too long', () => {
  it('is refused as such, and costs no look at the cloud', async (t) => {
    const { filesystem, catalog } = await makeWorld(t);
    await assert.rejects(filesystem.lookup(ROOT_NODE, 'é'.repeat(128)), { errno: 'ENAMETOOLONG' });
    assert.equal(catalog.refreshes, 0);
    await assert.rejects(filesystem.lookup(ROOT_NODE, 'x'.repeat(255)), { errno: 'ENOENT' });
  });
});

describe('a node that the kernel has forgotten', () => {
  it('is found by its number, and its directory by "..", after a restart as well', async (t) => {
    const { filesystem, raw } = await makeWorld(t);
    const byName = await walk(filesystem, 'by-name');
    const link = await walk(filesystem, 'by-name', 'sparse');
    const image = await walk(filesystem, raw.image.id);
    const status = await walk(filesystem, '.cinderfs', 'status');
    for (const node of [ROOT_NODE, byName, link, image, status])
      assert.equal((await filesystem.lookup(node, '.')).node, node);
    assert.equal((await filesystem.lookup(link, '..')).node, byName);
    assert.equal((await filesystem.lookup(byName, '..')).node, ROOT_NODE);
    assert.equal((await filesystem.lookup(image, '..')).node, ROOT_NODE);
    assert.equal((await filesystem.lookup(status, '..')).node, await walk(filesystem, '.cinderfs'));
    await assert.rejects(filesystem.lookup(4711, '.'), { errno: 'ENOENT' });
  });
});

describe('the status of a mount that another engine takes over', () => {
  it('is not carried along: it is made anew', async (t) => {
    const { filesystem } = await makeWorld(t);
    const file = await filesystem.open(await walk(filesystem, '.cinderfs', 'status'), 0);
    assert.equal('text' in (file.memo ?? {}), false);
    const again = await filesystem.reopen(file.memo ?? {});
    const text = (await filesystem.read(again.handle, 0, 1000)).toString();
    assert.deepEqual(JSON.parse(text), { attaches: 0 });
    assert.equal(again.size, text.length);
    for (const { handle } of [file, again]) filesystem.release(handle);
  });
});
