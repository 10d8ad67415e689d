import assert from 'node:assert/strict';
import { readdir, readlink, writeFile } from 'node:fs/promises';
import { describe, it, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Slots } from '../../src/async/slots.js';
import { openFileReader, type SeekFile } from '../../src/sources/file/file-reader.js';
import type { SourceReader } from '../../src/sources/contract/reader.js';
import { temporaryFolder } from '../support/temporary.js';

const SIZE = 4096;
const NEVER = new AbortController().signal;

async function readerOf(
  t: TestContext,
  options: { seekFile: SeekFile; threads?: Slots },
): Promise<{ reader: SourceReader; path: string }> {
  const path = `${await temporaryFolder(t)}/source`;
  await writeFile(path, Buffer.alloc(SIZE));
  return { reader: await openFileReader({ path }, { size: SIZE, slots: 2, ...options }), path };
}

/** How many descriptors of this process are open on `path`. */
async function descriptorsOf(path: string): Promise<number> {
  const all = await readdir('/proc/self/fd');
  const links = await Promise.all(all.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
  return links.filter((link) => link === path).length;
}

/** A seek that answers when it is told to. */
function slowSeek(): { seekFile: SeekFile; begun: () => number; answer: () => void } {
  let answer: () => void = () => undefined;
  let begun = 0;
  const answered = new Promise<void>((resolve) => (answer = resolve));
  const seekFile: SeekFile = async (_path, offset) => {
    begun++;
    await answered;
    return offset;
  };
  return { seekFile, begun: () => begun, answer };
}

describe('a reader of a file', () => {
  it('closes it after a seek that outlived its close', async (t) => {
    const { seekFile, answer } = slowSeek();
    const { reader, path } = await readerOf(t, { seekFile });
    const seeking = reader.seek(0, 'data', NEVER);
    reader.close();
    assert.equal(await descriptorsOf(path), 1, 'not under a seek');
    answer();
    await seeking;
    for (let left = 1000; left > 0 && (await descriptorsOf(path)) > 0; left--) await turn();
    assert.equal(await descriptorsOf(path), 0);
  });

  it('leaves threads to others: all sources together hold no more than they may', async (t) => {
    const threads = new Slots(3);
    const { seekFile, begun, answer } = slowSeek();
    const readers = await Promise.all([1, 2, 3].map(() => readerOf(t, { seekFile, threads })));
    const seeks = readers.flatMap(({ reader }) => [1, 2].map(() => reader.seek(0, 'data', NEVER)));
    await turn();
    assert.equal(begun(), 3);
    answer();
    await Promise.all(seeks);
    assert.equal(threads.running, 0);
    for (const { reader } of readers) reader.close();
  });
});
