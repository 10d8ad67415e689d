/** Which files are open, noted on a disk that may be full: a tmpfs of a few pages. */
import assert from 'node:assert/strict';
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { CinderfsError } from '../../src/errors.js';
import { Backings } from '../../src/fs/fuse/files/backings.js';
import { Descriptors } from '../../src/fs/fuse/files/descriptors.js';
import { OpenFiles } from '../../src/fs/fuse/files/open-files.js';
import type { Opened } from '../../src/fs/fuse/files/opened.js';
import { OpenJournal, type OpenRecord } from '../../src/fs/fuse/recovery/open-journal.js';
import { MountSources } from '../../src/sources/mount-sources.js';
import { sourceKinds } from '../../src/sources/registry.js';
import { entryOf } from '../../src/fs/fuse/shared/shared-handles.js';
import { silentLog } from '../../src/log.js';
import { eventually } from '../support/eventually.js';
import { assertProperty } from '../support/seeds.js';
import { fillDisk, smallDisk } from '../support/small-disk.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

const skip = process.getuid?.() === 0 ? false : 'mounting needs root';

async function journalIn(dir: string): Promise<{ file: string; journal: OpenJournal }> {
  const file = path.join(dir, 'open-files');
  return { file, journal: await OpenJournal.open(file, { fresh: true }) };
}

function record(fh: number): OpenRecord {
  return { fh, node: fh + 1_000_000, unique: String(fh * 2), memo: { image: 'x'.repeat(fh % 200) } };
}

async function numbersIn(file: string): Promise<readonly number[]> {
  return (await OpenJournal.open(file, { fresh: false })).earlier.map(({ fh }) => fh);
}

describe('a file that cannot be noted as open', { skip }, () => {
  it('leaves nothing open', async (t) => {
    const undo = new Undo(t);
    const dir = await smallDisk(undo, 64 * 1024);
    const image = path.join(await temporaryFolder(undo), 'image');
    writeFileSync(image, 'bytes');
    const files = new OpenFiles({
      descriptors: new Descriptors(new MountSources(sourceKinds(), 1)),
      backings: new Backings(undefined, silentLog),
      onFenced: () => undefined,
      journal: (await journalIn(dir)).journal,
    });
    const open = (text: string): Promise<Opened> => {
      const source = { kind: 'file', path: image } as const;
      const fenced = new AbortController().signal;
      return files.add({ handle: 1, node: 7, size: 5, source, fenced, memo: { text } }, 1n);
    };
    const opened = (): number => readdirSync('/proc/self/fd').filter((fd) => linkOf(fd) === image).length;
    const filler = fillDisk(dir);
    await assert.rejects(open('x'.repeat(8_192)), { code: 'journal_failed' });
    assert.deepEqual(files.numbers(), []);
    await eventually('its descriptor is closed', () => Promise.resolve(opened() === 0 ? true : undefined));
    rmSync(filler);
    const { fh, descriptor } = await open('');
    assert.equal(entryOf(fh), 1, 'the entry is free again');
    assert.ok(descriptor);
    files.remove(fh);
  });
});

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return '';
  }
}

describe('the journal of open files', () => {
  it('has what was opened and not closed, for whoever reads it next', async (t) => {
    const { file, journal } = await journalIn(await temporaryFolder(t));
    for (let fh = 1; fh <= 9_000; fh++) {
      journal.opened(record(fh));
      if (fh % 1_000 !== 0) journal.closed(fh);
    }
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n').length;
    assert.ok(lines < 5_000, 'it is written anew now and then');
    const next = await OpenJournal.open(file, { fresh: false });
    assert.deepEqual(
      next.earlier,
      [1, 2, 3, 4, 5, 6, 7, 8, 9].map((thousand) => record(thousand * 1_000)),
    );
    assert.equal(next.last, 9_000);
  });

  it(
    'refuses to note an open on a full disk, says so, and is whole again when there is space',
    { skip },
    async (t) => {
      const dir = await smallDisk(new Undo(t), 64 * 1024);
      const { file, journal } = await journalIn(dir);
      journal.opened(record(1));
      const filler = fillDisk(dir);
      let last = 1;
      assert.throws(
        () => {
          for (;;) journal.opened(record(++last));
        },
        (error) =>
          CinderfsError.is(error) && error.code === 'journal_failed' && error.toLine().includes('no space'),
      );
      assert.ok(last > 2, 'the page it stands on had some space left');
      rmSync(filler);
      journal.opened(record(5_000));
      journal.closed(1);
      const wanted = Array.from({ length: last - 2 }, (_, at) => at + 2);
      assert.deepEqual(await numbersIn(file), [...wanted, 5_000]);
    },
  );

  it('notes a close on a full disk: a RELEASE cannot be refused', { skip }, async (t) => {
    const dir = await smallDisk(new Undo(t), 64 * 1024);
    const { file, journal } = await journalIn(dir);
    for (const fh of [1, 2, 3]) journal.opened(record(fh));
    const filler = fillDisk(dir);
    for (const fh of [1, 3]) journal.closed(fh);
    rmSync(filler);
    assert.deepEqual(await numbersIn(file), [2]);
    assert.deepEqual(readdirSync(dir), ['open-files']);
  });

  it('serves on as it is when there is no space to write it anew', { skip }, async (t) => {
    const dir = await smallDisk(new Undo(t), 2 ** 20);
    const { file, journal } = await journalIn(dir);
    for (let fh = 1; fh <= 3_000; fh++) {
      journal.opened(record(fh));
      journal.closed(fh);
    }
    const filler = fillDisk(dir);
    assert.throws(() => {
      for (let fh = 3_001; fh <= 30_000; fh++) {
        journal.opened(record(fh));
        journal.closed(fh);
      }
    }, /no space/);
    rmSync(filler);
    journal.opened(record(40_000));
    assert.deepEqual(await numbersIn(file), [40_000]);
  });

  it('leaves out lines that do not parse, and gives no number of theirs again', async (t) => {
    const file = path.join(await temporaryFolder(t), 'open-files');
    const whole = JSON.stringify(record(5));
    // A page that was written and one that was not: the death of whoever noted a close there.
    const torn = `{"closed":900}${JSON.stringify(record(900)).slice(14)}`;
    const lines = [whole, torn, 'null', '[]', '{"fh":7}', '\0\0\0', '{"closed":-1}', '', whole.slice(0, -3)];
    writeFileSync(file, `${lines.join('\n')}\n${JSON.stringify(record(6))}\n{"clo`);
    const journal = await OpenJournal.open(file, { fresh: false });
    assert.deepEqual(journal.earlier, [record(5), record(6)]);
    assert.equal(journal.last, 900);
    assert.equal(journal.damaged, 8);
    assert.deepEqual(await numbersIn(file), [5, 6], 'it was written anew without them');
  });

  it('opens whatever is in the file', async (t) => {
    const file = path.join(await temporaryFolder(t), 'open-files');
    const line = fc.oneof(
      fc.nat(9_000).map((fh) => JSON.stringify(record(fh))),
      fc.nat(9_000).map((fh) => `{"closed":${fh}}`),
      fc.json(),
      fc.string(),
      fc.constantFrom('{"fh":1,"node":2,"unique":"x","memo":{}}', '{"closed":1e99}', '{"__proto__":null}'),
    );
    const content = fc.tuple(fc.array(line), fc.nat()).map(([lines, cut]) => {
      const text = lines.map((one) => `${one}\n`).join('');
      return text.slice(0, text.length - (cut % (text.length + 1)));
    });
    const bytes = fc.oneof(
      content.map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 4096 }).map((array) => Buffer.from(array)),
    );
    await assertProperty(
      fc.asyncProperty(bytes, async (found) => {
        writeFileSync(file, found);
        const journal = await OpenJournal.open(file, { fresh: false });
        for (const one of journal.earlier) assert.equal(typeof one.memo, 'object');
        const next = journal.last + 1;
        journal.opened(record(next));
        assert.ok((await numbersIn(file)).includes(next));
        journal.remove();
      }),
      { numRuns: 300 },
    );
  });

  it('notes a close later that cannot be noted now, and nothing of the file stays open', async (t) => {
    const undo = new Undo(t);
    const dir = await temporaryFolder(undo);
    const { file, journal } = await journalIn(dir);
    const released: string[] = [];
    const files = new OpenFiles({
      descriptors: new Descriptors(new MountSources(sourceKinds(), 1)),
      backings: Object.assign(new Backings(undefined, silentLog), {
        release: () => void released.push('backing'),
      }),
      onFenced: () => undefined,
      journal,
    });
    const fenced = new AbortController().signal;
    const { fh } = await files.add(
      { handle: 3, node: 7, size: 5, source: undefined, fenced, memo: { text: '' } },
      1n,
    );
    const descriptor = readdirSync('/proc/self/fd').find((fd) => linkOf(fd) === file);
    closeSync(Number(descriptor));
    assert.equal(openSync('/dev/full', 'r+'), Number(descriptor), 'writes fail from now on');
    // Nor can it be written anew.
    rmSync(dir, { recursive: true });
    assert.equal(files.remove(fh)?.handle, 3, 'its owner can let go of it');
    assert.deepEqual([released, files.numbers()], [['backing'], []]);
    mkdirSync(dir);
    journal.opened(record(40));
    assert.deepEqual(await numbersIn(file), [40]);
  });
});
