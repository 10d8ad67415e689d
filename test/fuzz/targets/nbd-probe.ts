import { type Patience, ServerLink } from '../../../src/attach/connectors/qemu/server-link.js';
import { withDeadline } from '../../../src/async/deadline.js';
import { CinderfsError } from '../../../src/errors.js';
import { fastClock } from '../../fakes/fast-clock.js';
import type { Undo } from '../../support/undo.js';
import { SEPARATOR } from '../edit.js';
import { attemptLater, type Run, type Target } from '../target.js';
import { chunk, data, handshake, PLAIN, REFUSED, simple, SIZE } from './nbd-answers.js';
import { inTurns, TurnServer } from './nbd-turns.js';

/** Reads that the probe makes: in the middle of a block, and the end of the export. */
const READS = [
  [SIZE - 612, 512],
  [SIZE - 100, 100],
] as const;

/** Whatever an NBD server answers to the connection that proves what is connected. */
export const nbdProbe: Target = {
  name: 'nbd-probe',
  seeds: [
    inTurns(PLAIN, simple(1, Buffer.alloc(512, 1)), simple(2, Buffer.alloc(100, 2))),
    inTurns(PLAIN, simple(1, Buffer.alloc(0), 5), simple(2, Buffer.alloc(100, 2))),
    inTurns(handshake(true), chunk(1, 1, 1, data(SIZE - 1024, 1024)), chunk(2, 1, 1, data(SIZE - 512, 512))),
    inTurns(PLAIN, Buffer.alloc(0)),
    REFUSED,
  ],
  words: [SEPARATOR],
  open,
};

async function open(undo: Undo): Promise<Run> {
  const server = await TurnServer.start(undo);
  const { socket } = server;
  const patience: Patience = { clock: fastClock(1000), ms: 10_000 };
  return async (input) => {
    server.answers = Buffer.from(input);
    const source = { kind: 'nbd', socket, exportName: '' } as const;
    const link = await failing(() => ServerLink.open(source, patience));
    try {
      if (link !== undefined) await use(link, patience);
    } finally {
      link?.close();
      await link?.ended;
      await server.quiet();
    }
  };
}

async function use(link: ServerLink, { clock, ms }: Patience): Promise<void> {
  if (!(link.size >= 0 && link.size <= 2 ** 64)) throw new Error(`${link.size} bytes`);
  for (const [offset, length] of READS) {
    const onTimeout = (): CinderfsError => new CinderfsError('connector_failed', 'no answer in time');
    const bytes = await failing(() => withDeadline(link.read(offset, length), { clock, ms, onTimeout }));
    if (bytes !== undefined && bytes.length !== length)
      throw new Error(`${bytes.length} bytes, not ${length}`);
  }
}

/** Whatever goes wrong here is a failure of the connector, and of no reader. */
function failing<T>(work: () => Promise<T>): Promise<T | undefined> {
  return attemptLater(() =>
    work().catch((error: unknown) => {
      if (CinderfsError.is(error) && error.code === 'connector_failed') throw error;
      throw new Error('no failure of the connector', { cause: error });
    }),
  );
}
