import { NbdClient } from '../../../src/nbd/client.js';
import { seekInExtents } from '../../../src/nbd/seek.js';
import { fastClock } from '../../fakes/fast-clock.js';
import type { Undo } from '../../support/undo.js';
import { SEPARATOR } from '../edit.js';
import { attemptLater, type Run, type Target } from '../target.js';
import { chunk, data, extents, handshake, hole, OLD, REFUSED, simple, SIZE } from './nbd-answers.js';
import { inTurns, TurnServer } from './nbd-turns.js';

const READ = 8192;
/** Questions that one seek may ask of a server that says little at a time. */
const MOST_QUESTIONS = 10_000;

/** Whatever an NBD server answers to the client of the main thread. */
export const nbd: Target = {
  name: 'nbd',
  seeds: [
    inTurns(
      handshake(true),
      Buffer.concat([chunk(1, 0, 1, data(0, 4096)), chunk(1, 1, 2, hole(4096, 4096))]),
      chunk(2, 1, 5, extents([65_536, 3], [SIZE - 65_536, 0])),
      chunk(3, 1, 5, extents([1, 3], [SIZE, 0])),
    ),
    inTurns(
      handshake(true),
      chunk(1, 1, 0x8001, Buffer.from('0000000500046f6f7073', 'hex')),
      chunk(2, 1, 5, extents([1, 3])),
    ),
    inTurns(handshake(true), simple(1, Buffer.alloc(READ, 1)), simple(2, Buffer.alloc(0), 22)),
    inTurns(
      handshake(true),
      Buffer.concat([chunk(1, 0, 1, data(4096, 4096)), chunk(1, 1, 1, data(0, 4096))]),
    ),
    OLD,
    inTurns(OLD, simple(1, Buffer.alloc(READ, 1))),
    REFUSED,
  ],
  words: [SEPARATOR],
  open,
};

async function open(undo: Undo): Promise<Run> {
  const server = await TurnServer.start(undo);
  const { socket } = server;
  const clock = fastClock(200);
  return async (input) => {
    server.answers = Buffer.from(input);
    const options = { clock, requestMs: 5_000, connections: 1 };
    const client = await attemptLater(() => NbdClient.open({ socket, exportName: '' }, options));
    try {
      if (client !== undefined) await use(client);
    } finally {
      client?.close();
      await server.quiet();
    }
  };
}

async function use(client: NbdClient): Promise<void> {
  const { size = 0, minimumBlock = 1 } = client.export ?? {};
  if (!Number.isSafeInteger(minimumBlock) || minimumBlock < 1 || (minimumBlock & (minimumBlock - 1)) !== 0)
    throw new Error(`blocks of ${minimumBlock} bytes`);
  if (!Number.isFinite(size) || size < 0) throw new Error(`an export of ${size} bytes`);
  const buffers = [Buffer.alloc(4096, 0xee), Buffer.alloc(4096, 0xee)];
  const read = await attemptLater(async () => {
    await client.read(0, buffers);
    return true;
  });
  if (read === true && isUnwritten(Buffer.concat(buffers))) throw new Error('bytes that no server sent');
  let questions = 0;
  const counted = {
    export: client.export,
    blockStatus: (offset: number, length: number) => {
      questions += 1;
      if (questions > MOST_QUESTIONS) throw new Error(`more than ${MOST_QUESTIONS} questions`);
      return client.blockStatus(offset, length);
    },
  };
  const seek = { offset: 4000, end: SIZE, alignment: minimumBlock } as const;
  for (const whence of ['data', 'hole'] as const)
    await attemptLater(async () => {
      const found = await seekInExtents(counted as unknown as NbdClient, { ...seek, whence });
      if (!(found >= seek.offset && found <= seek.end)) throw new Error(`found ${whence} at ${found}`);
    });
}

/** The filling of the buffers, longer than any server of this target sends it by chance. */
function isUnwritten(bytes: Buffer): boolean {
  return bytes.includes(Buffer.alloc(600, 0xee));
}
