import { once } from 'node:events';
import { createServer } from 'node:net';
import { CinderfsError } from '../../../src/errors.js';
import { ControlClient } from '../../../src/cli/control/control-client.js';
import { controlSocketPath } from '../../../src/ops/control-socket.js';
import { temporaryFolder } from '../../support/temporary.js';
import { isEngineText, type Target } from '../target.js';

const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n';
const FAILED = HEAD.replace('200 OK', '409 Conflict');

/** Whatever whoever holds the socket answers to a command. */
export const controlClient: Target = {
  name: 'control-client',
  seeds: [
    Buffer.from(`${HEAD}\n${JSON.stringify({ state: 'serving', mounts: [{ path: '/images' }] })}`),
    Buffer.from(`${FAILED}\n${JSON.stringify({ error: { code: 'holders', message: 'm', remedy: 'r' } })}`),
    Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}'),
    Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n'),
  ],
  words: [
    'HTTP/1.1 ',
    '200',
    '500',
    '101',
    '204',
    '\r\n',
    '"error":',
    '"code":',
    '"internal"',
    'null',
    '[]',
    '{}',
    'Content-Length: 9',
  ],
  async open(undo) {
    const folder = await temporaryFolder(undo);
    let answer = Buffer.alloc(0);
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(answer));
    });
    server.listen(controlSocketPath(folder, '/images'));
    await once(server, 'listening');
    undo.after(() => new Promise((resolve) => server.close(resolve)));
    const client = ControlClient.forMountpoint(folder, '/images');
    return async (input) => {
      answer = Buffer.from(input);
      await client.get('/status').catch(judge);
    };
  },
};

/** A daemon may answer with any code, be it `internal`; what this end makes of its bytes must be an error of its own. */
function judge(thrown: unknown): void {
  if (!CinderfsError.is(thrown) || typeof thrown.toLine() !== 'string') throw thrown;
  const ours = thrown.code === 'internal' && thrown.message.includes('did not answer');
  if (ours || isEngineText(thrown.message)) throw thrown;
}
