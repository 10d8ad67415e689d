import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { systemClock } from '../../src/async/clock.js';
import { Http } from '../../src/cinder/http/http.js';
import { proxiesOf } from '../../src/config/proxies.js';
import { silentLog } from '../../src/log.js';
import { CERTIFICATE, KEY } from './certificate.js';

async function listening(t: TestContext, server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => void sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

/** A proxy that knows where keystone.invalid is, and what it was asked. */
async function proxy(t: TestContext, target: number): Promise<{ port: number; asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((incoming, outgoing) => {
    asked.push(
      `${incoming.method ?? ''} ${incoming.url ?? ''} ${incoming.headers['proxy-authorization'] ?? '-'}`,
    );
    const { pathname } = new URL(incoming.url ?? '');
    const onward = request(
      { host: '127.0.0.1', port: target, path: pathname, method: incoming.method },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 500);
        answer.pipe(outgoing);
      },
    );
    incoming.pipe(onward);
  });
  server.on('connect', (incoming, socket: Socket) => {
    asked.push(`CONNECT ${incoming.url ?? ''} ${incoming.headers['proxy-authorization'] ?? '-'}`);
    const onward = connect(target, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      socket.pipe(onward).pipe(socket);
    });
    for (const end of [socket, onward])
      end.on('error', () => void [socket, onward].map((one) => one.destroy()));
  });
  return { port: await listening(t, server), asked };
}

describe('a service behind a proxy', () => {
  const client = (t: TestContext, env: Record<string, string>): Http => {
    const tls = { verify: false, cacert: undefined, cert: undefined, key: undefined };
    const options = { clock: systemClock, log: silentLog, timeoutMs: 10_000, retries: 0 };
    const http = new Http({ ...options, tls, proxies: proxiesOf(env) });
    t.after(() => http.close());
    return http;
  };

  it('is asked through it over http, by a name that the proxy alone knows, and past it where it is excepted', async (t) => {
    const target = await listening(
      t,
      createServer((_, response) => response.end('{}')),
    );
    const { port, asked } = await proxy(t, target);
    const env = { HTTP_PROXY: `http://me:secret@127.0.0.1:${port}`, NO_PROXY: '127.0.0.1' };
    const http = client(t, env);
    const login = { service: 'Keystone', method: 'POST', body: { a: 1 } } as const;
    for (const repeat of ['always', 'unsent'] as const)
      assert.equal((await http.request({ ...login, url: 'http://keystone.invalid/v3', repeat })).status, 200);
    const authorization = `Basic ${Buffer.from('me:secret').toString('base64')}`;
    assert.deepEqual(asked, Array(2).fill(`POST http://keystone.invalid/v3 ${authorization}`));
    await http.request({ ...login, url: `http://127.0.0.1:${target}/`, repeat: 'always' });
    assert.equal(asked.length, 2);
  });

  it('is asked through a tunnel over https', async (t) => {
    const target = await listening(
      t,
      createTlsServer({ key: KEY, cert: CERTIFICATE }, (_, response) => response.end('{}')),
    );
    const { port, asked } = await proxy(t, target);
    const http = client(t, { https_proxy: `http://127.0.0.1:${port}` });
    const answer = await http.request({
      service: 'Keystone',
      method: 'GET',
      url: 'https://keystone.invalid/v3',
      repeat: 'always',
    });
    assert.equal(answer.status, 200);
    assert.deepEqual(asked, ['CONNECT keystone.invalid:443 -']);
  });
});
