import type { Socket } from 'node:net';
import { SEPARATOR } from '../edit.js';

/** Of a request in the transmission phase. */
const REQUEST = Buffer.from('25609513', 'hex');

/** An input that converse() says in turns. */
export function inTurns(...turns: readonly Buffer[]): Buffer {
  const separator = Buffer.from(SEPARATOR);
  return Buffer.concat(turns.flatMap((bytes, at) => (at === 0 ? [bytes] : [separator, bytes])));
}

export function turnsOf(answers: Buffer): Buffer[] {
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
