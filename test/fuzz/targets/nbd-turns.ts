import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { temporaryFolder } from '../../support/temporary.js';
import type { Undo } from '../../support/undo.js';
import { SEPARATOR } from '../edit.js';

/** Of a request in the transmission phase. */
const REQUEST = Buffer.from('25609513', 'hex');

/** An input that converse() says in turns. */
export function inTurns(...turns: readonly Buffer[]): Buffer {
  const separator = Buffer.from(SEPARATOR);
  return Buffer.concat(turns.flatMap((bytes, at) => (at === 0 ? [bytes] : [separator, bytes])));
}

/** An NBD server on a unix socket that says `answers`, in turns, to each client. */
export class TurnServer {
  answers = Buffer.alloc(0);
  readonly socket: string;
  readonly #peers: ReadonlySet<Socket>;

  private constructor(socket: string, peers: ReadonlySet<Socket>) {
    this.socket = socket;
    this.#peers = peers;
  }

  static async start(undo: Undo): Promise<TurnServer> {
    const peers = new Set<Socket>();
    const started = new TurnServer(path.join(await temporaryFolder(undo), 'nbd.sock'), peers);
    const server = createServer((peer) => {
      peers.add(peer);
      peer.on('error', () => undefined).on('close', () => peers.delete(peer));
      converse(peer, turnsOf(started.answers));
    });
    server.listen(started.socket);
    await once(server, 'listening');
    undo.after(() => new Promise((resolve) => server.close(resolve)));
    return started;
  }

  /** Resolves when no client is connected. */
  async quiet(): Promise<void> {
    while (this.#peers.size > 0) await turn();
  }
}

function turnsOf(answers: Buffer): Buffer[] {
  return answers
    .toString('latin1')
    .split(SEPARATOR)
    .map((turn) => Buffer.from(turn, 'latin1'));
}

/** Says its first turn at once, and the next at every request; hangs up after its last one. */
export function converse(peer: Socket, turns: Buffer[]): void {
  const say = (): void => {
    const bytes = turns.shift() ?? Buffer.alloc(0);
    if (turns.length === 0) peer.end(bytes);
    else peer.write(bytes);
  };
  say();
  peer.on('data', (chunk) => {
    for (let at = chunk.indexOf(REQUEST); at !== -1; at = chunk.indexOf(REQUEST, at + 1)) say();
  });
}
