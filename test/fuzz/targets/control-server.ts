import { once } from 'node:events';
import { connect } from 'node:net';
import path from 'node:path';
import { CinderfsError } from '../../../src/errors.js';
import { startControlServer } from '../../../src/ops/control-server.js';
import { temporaryFolder } from '../../support/temporary.js';
import type { Target } from '../target.js';

const STATUS = Buffer.from('GET /status HTTP/1.1\r\nHost: control\r\nConnection: close\r\n\r\n');

/** Whatever a user sends to the control socket: afterwards it must answer a question, and hold nothing of who sent it. */
export const controlServer: Target = {
  name: 'control-server',
  seeds: [
    STATUS,
    Buffer.from('POST /release?image=x&dry_run=true HTTP/1.1\r\nHost: c\r\nContent-Length: 2\r\n\r\n{}'),
    Buffer.from(
      'POST /unmount HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: c\r\n\r\n5\r\nabcde\r\n0\r\n\r\n',
    ),
    Buffer.from(
      'GET http://x/status HTTP/1.0\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nExpect: 100-continue\r\n\r\n',
    ),
  ],
  words: [
    ...[
      'GET ',
      'POST ',
      'CONNECT ',
      'HEAD ',
      'OPTIONS * ',
      ' HTTP/1.1\r\n',
      '\r\n',
      '\r\n\r\n',
      'Host: x\r\n',
      '/status',
      '//',
    ],
    ...[
      'Expect: 100-continue\r\n',
      'Transfer-Encoding: chunked\r\n',
      'Content-Length: 18446744073709551616\r\n',
      'Upgrade: x\r\n',
    ],
    ...[
      '/__proto__',
      '/%',
      '?image=%00',
      '/constructor',
      'http://[',
      '0\r\n\r\n',
      'Trailer: x\r\n',
      'PRI * HTTP/2.0\r\n\r\n',
    ],
  ],
  async open(undo) {
    const socket = path.join(await temporaryFolder(undo), 'control.sock');
    const server = await startControlServer(socket, {
      'GET /status': () => ({ state: 'serving' }),
      'POST /release': (query) => {
        throw new CinderfsError('image_not_found', `no image is called ${query.get('image') ?? ''}`);
      },
      'POST /unmount': () => undefined,
    });
    undo.after(() => server.close());
    return async (input) => {
      const answer = (await exchange(socket, input)).toString('latin1');
      if (answer.includes('"internal"')) throw new Error(`it answered ${answer}`);
      const after = (await exchange(socket, STATUS)).toString('latin1');
      if (!after.includes('"serving"')) throw new Error(`it answers no more: ${after}`);
    };
  },
};

/** Sends it, and ends; what is answered until the server ends as well. */
async function exchange(socket: string, sent: Buffer): Promise<Buffer> {
  const peer = connect(socket);
  const chunks: Buffer[] = [];
  peer.on('data', (chunk) => chunks.push(chunk));
  peer.on('error', () => undefined);
  peer.end(sent);
  await once(peer, 'close');
  return Buffer.concat(chunks);
}
