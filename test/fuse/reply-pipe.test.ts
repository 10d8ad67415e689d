import assert from 'node:assert/strict';
import { open, readFile, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { systemCalls } from '../../src/sys/calls/system-calls.js';
import { OUT_HEADER } from '../../src/fs/fuse/protocol/messages.js';
import { MAX_PAGES, PAGE_SIZE } from '../../src/fs/fuse/protocol/opcodes.js';
import { pagesPerReply, ReplyPipe } from '../../src/fs/fuse/channel/dev-fuse/reply-pipe.js';
import { undoneAfter } from '../conformance/world.js';
import { someBytes } from '../support/seeds.js';
import { temporaryFolder } from '../support/temporary.js';

const CONTENT = someBytes(2 ** 20 + 100_001);
const calls = systemCalls() ?? assert.fail('koffi is a dependency of these tests');

interface Setup {
  readonly source: number;
  readonly sourceFile: string;
  readonly pipe: ReplyPipe;
  /** What a file that stands for /dev/fuse was given so far. */
  readonly given: () => Promise<Buffer>;
}

async function setup(t: TestContext): Promise<Setup> {
  const undo = undoneAfter(t);
  const dir = await temporaryFolder(undo);
  const sourceFile = path.join(dir, 'source');
  await writeFile(sourceFile, CONTENT);
  const source = await open(sourceFile, 'r');
  const device = await open(path.join(dir, 'device'), 'w');
  const pipe = new ReplyPipe(device.fd, calls);
  undo.after(async () => {
    pipe.discard();
    await Promise.all([source.close(), device.close()]);
  });
  return { source: source.fd, sourceFile, pipe, given: () => readFile(path.join(dir, 'device')) };
}

function answerOf(unique: bigint, offset: number, length: number): Buffer {
  const header = OUT_HEADER.encode({ len: OUT_HEADER.size + length, unique });
  return Buffer.concat([header, CONTENT.subarray(offset, offset + length)]);
}

describe('a reply pipe', () => {
  it('gives the device header and bytes, wherever the range begins and ends', async (t) => {
    const { pipe, source, given } = await setup(t);
    const answers: Buffer[] = [];
    for (const [offset, length] of [
      [0, 65_536],
      [4095, 200_000],
      [100_001, (MAX_PAGES - 2) * PAGE_SIZE],
      [12_288, (pagesPerReply(calls) - 3) * PAGE_SIZE],
    ] as const) {
      const unique = 0x8000_0000_0000_0001n + BigInt(offset);
      assert.ok(pipe.fill(unique, source, offset, length));
      pipe.send(length);
      answers.push(answerOf(unique, offset, length));
    }
    assert.ok((await given()).equals(Buffer.concat(answers)));
  });

  it('gives nothing of what was thrown away, nor of a source that ended early', async (t) => {
    const { pipe, source, sourceFile, given } = await setup(t);
    assert.ok(pipe.fill(1n, source, 0, 100_000));
    pipe.discard();
    await truncate(sourceFile, 150_000);
    assert.equal(pipe.fill(2n, source, 100_000, 100_000), false);
    assert.ok(pipe.fill(3n, source, 50_000, 100_000));
    pipe.send(100_000);
    assert.ok((await given()).equals(answerOf(3n, 50_000, 100_000)));
  });

  it('leaves to others what is too short to be worth it or does not fit, and all of it without koffi', async (t) => {
    const { pipe, source, given } = await setup(t);
    assert.equal(pipe.fill(1n, source, 0, 4096), false);
    const places = pagesPerReply(calls) + 1;
    assert.equal(pipe.fill(1n, source, 1, 2 * places * PAGE_SIZE), false);
    assert.equal(new ReplyPipe(-1, undefined).fill(1n, source, 0, 100_000), false);
    assert.equal((await given()).length, 0);
  });

  it('asks the kernel for requests whose answers fit', () => {
    const opens = (most: number) => ({
      openPipe: (bytes: number) => (bytes <= most * PAGE_SIZE ? { read: -1, write: -1 } : undefined),
      closePipe: () => undefined,
    });
    assert.equal(pagesPerReply(undefined), MAX_PAGES);
    assert.equal(pagesPerReply(opens(0)), MAX_PAGES);
    assert.equal(pagesPerReply(opens(MAX_PAGES)), MAX_PAGES - 1);
    assert.equal(pagesPerReply(opens(2 * MAX_PAGES)), MAX_PAGES);
  });
});
