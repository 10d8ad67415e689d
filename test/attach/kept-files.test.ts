/** Every file that we read back may hold anything: cut short, overwritten, of another version, huge, no file at all. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { leftBehind } from '../../src/attach/journal/left-behind.js';
import { parseRecord, STEPS, type AttachmentRecord } from '../../src/attach/journal/record.js';
import { RecordStore } from '../../src/attach/journal/record-store.js';
import { ImageFile } from '../../src/daemon/image-file.js';
import { silentLog } from '../../src/log.js';
import { fakeImage } from '../fakes/fs-catalog.js';
import { assertProperty } from '../support/seeds.js';
import { temporaryFolder } from '../support/temporary.js';

const KEY = '1e035fa6-7d97-400f-aa2d-cea1d44e4461';

const RECORD: AttachmentRecord = {
  version: 1,
  volumeId: KEY,
  clone: { name: 'cinderfs-clone', answered: true, volumeId: 'clone' },
  imageId: 'image',
  imageName: 'name',
  imageSize: 1,
  hash: { algorithm: 'sha512', value: 'ab' },
  multiattach: true,
  step: 'reserve',
  since: 0,
  before: ['b'],
  answered: false,
  search: { begun: 1, seen: { a: 2 } },
  host: { path: '/dev/x', pid: 3 },
  locks: ['l'],
};

const IMAGE = fakeImage({
  id: 'image',
  name: 'name',
  createdAt: new Date(0),
  updatedAt: new Date(0),
  volumeId: 'volume',
  storeId: 'store',
});

/** A document with one value in it replaced, or left out, by anything. */
function broken(whole: object): fc.Arbitrary<string> {
  return fc
    .tuple(fc.constantFrom(...Object.keys(whole)), fc.option(fc.jsonValue(), { nil: undefined }))
    .map(([name, value]) => JSON.stringify({ ...whole, [name]: value }));
}

/** Bytes that may stand where `whole` stood. */
function bytes(whole: object): fc.Arbitrary<Buffer> {
  const text = JSON.stringify(whole);
  return fc.oneof(
    fc.nat(text.length).map((length) => Buffer.from(text.slice(0, length))),
    fc.tuple(fc.nat(text.length - 1), fc.nat(255)).map(([at, byte]) => {
      const changed = Buffer.from(text);
      changed[at] = byte;
      return changed;
    }),
    broken(whole).map((changed) => Buffer.from(changed)),
    fc.json().map((json) => Buffer.from(json)),
    fc.uint8Array({ maxLength: 512 }).map((array) => Buffer.from(array)),
    fc.constant(Buffer.alloc(2 ** 21, '[')),
  );
}

/** What may have the name of a file. */
function put(file: string, what: Buffer | 'directory' | 'link' | 'huge'): void {
  rmSync(file, { recursive: true, force: true });
  if (what === 'directory') mkdirSync(file);
  else if (what === 'link') symlinkSync('/dev/zero', file);
  else {
    writeFileSync(file, what === 'huge' ? '{' : what);
    if (what === 'huge') truncateSync(file, 2 ** 40);
  }
}

const odd = fc.constantFrom('directory' as const, 'link' as const, 'huge' as const);

describe('a record of the journal', () => {
  it('is whole or is moved aside, whatever its file holds', async (t) => {
    const state = await temporaryFolder(t);
    const directory = path.join(state, 'attachments');
    mkdirSync(directory);
    const kind = {
      directory,
      parse: parseRecord,
      keyOf: (record: AttachmentRecord) => record.volumeId,
      log: silentLog,
    };
    const run = async (what: Buffer | 'directory' | 'link' | 'huge'): Promise<void> => {
      for (const name of await readdir(directory)) rmSync(path.join(directory, name), { recursive: true });
      put(path.join(directory, `${KEY}.json`), what);
      const left = leftBehind(state);
      const [record, ...more] = (await RecordStore.open(kind)).list();
      assert.deepEqual(more, []);
      if (record === undefined) {
        assert.deepEqual(await readdir(directory), [`${KEY}.json.unreadable`]);
        return;
      }
      assert.equal(record.volumeId, KEY);
      assert.equal(left.length, 1);
      assert.ok(STEPS.includes(record.step) && record.before.every((one) => typeof one === 'string'));
      assert.equal(typeof record.imageName, 'string');
    };
    await assertProperty(fc.asyncProperty(fc.oneof({ weight: 9, arbitrary: bytes(RECORD) }, odd), run), {
      numRuns: 300,
    });
    await run(Buffer.from(JSON.stringify(RECORD)));
    assert.equal(leftBehind(state)[0]?.volumeId, 'clone');
  });
});

describe('the list of images that a mount has shown', () => {
  it('is whole or is not taken, whatever its file holds', async (t) => {
    const file = path.join(await temporaryFolder(t), 'images.json');
    const list = new ImageFile(file, silentLog);
    const whole = { generation: 1, at: 2, images: [IMAGE] };
    const changed = broken(IMAGE).map((image) => Buffer.from(`{"generation":1,"at":2,"images":[${image}]}`));
    const run = (what: Buffer | 'directory' | 'link' | 'huge'): void => {
      put(file, what);
      const kept = list.read();
      for (const [id, image] of kept?.images ?? []) {
        assert.equal(id, image.id);
        assert.equal(typeof image.name, 'string');
        assert.ok(Number.isSafeInteger(image.size) && image.size >= 0 && typeof image.volumeId === 'string');
        assert.ok(!Number.isNaN(image.updatedAt.getTime()));
      }
    };
    assertProperty(fc.property(fc.oneof(bytes(whole), changed), run), { numRuns: 300 });
    for (const what of ['directory', 'link'] as const) {
      run(what);
      assert.equal(list.read(), undefined);
    }
    put(file, Buffer.from(JSON.stringify(whole)));
    assert.deepEqual(list.read()?.images.get('image'), IMAGE);
    list.write({ generation: 3, at: 4, images: new Map([['image', IMAGE]]) });
    assert.equal(list.read()?.generation, 3);
  });
});
