import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import { ControlClient } from '../../src/cli/control/control-client.js';
import { CinderfsError } from '../../src/errors.js';
import { startControlServer } from '../../src/ops/control-server.js';
import { controlSocketPath } from '../../src/ops/control-socket.js';
import { eventually } from '../support/eventually.js';
import { assertProperty } from '../support/seeds.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';
import { within } from '../support/time.js';

describe('the control socket', () => {
  it('answers calls and passes errors on with code and remedy', async (t) => {
    const dir = await temporaryFolder(t);
    const server = await startControlServer(controlSocketPath(dir, '/images'), {
      'GET /status': () => ({ state: 'serving' }),
      'POST /unmount': (query) => {
        throw new CinderfsError('holders', `busy, lazy=${query.get('lazy') ?? ''}`, {
          remedy: 'Close them.',
        });
      },
    });
    t.after(() => server.close());
    const client = ControlClient.forMountpoint(dir, '/images/');
    assert.deepEqual(await client.get('/status'), { state: 'serving' });
    await assert.rejects(client.post('/unmount?lazy=true'), {
      code: 'holders',
      message: 'busy, lazy=true',
      remedy: 'Close them.',
    });
    await assert.rejects(client.get('/nothing'), { code: 'unsupported' });
  });

  it('is for its owner only and is gone after close', async (t) => {
    const dir = await temporaryFolder(t);
    const socket = controlSocketPath(dir, '/images');
    const server = await startControlServer(socket, {});
    assert.equal((await stat(socket)).mode & 0o777, 0o600);
    await server.close();
    await assert.rejects(stat(socket), { code: 'ENOENT' });
    await assert.rejects(ControlClient.forMountpoint(dir, '/images').get('/status'), { code: 'not_running' });
  });

  it('refuses while another daemon answers, and replaces the socket of a dead one', async (t) => {
    const dir = await temporaryFolder(t);
    const socket = controlSocketPath(dir, '/images');
    await mkdir(dir, { recursive: true });
    await writeFile(socket, 'left by a crash');
    const server = await startControlServer(socket, {});
    t.after(() => server.close());
    await assert.rejects(startControlServer(socket, {}), { code: 'mountpoint_busy' });
  });

  it('finds every daemon of a run folder', async (t) => {
    const dir = await temporaryFolder(t);
    for (const mountpoint of ['/a', '/b']) {
      const server = await startControlServer(controlSocketPath(dir, mountpoint), {
        'GET /status': () => mountpoint,
      });
      t.after(() => server.close());
    }
    const answers = await Promise.all(
      (await ControlClient.all(dir)).map((client) => client.get<string>('/status')),
    );
    assert.deepEqual(answers.sort(), ['/a', '/b']);
    assert.deepEqual(await ControlClient.all(path.join(dir, 'missing')), []);
  });

  describe('whatever is sent to it', { timeout: 120_000 }, () => {
    const STATUS = 'GET /status HTTP/1.1\r\nHost: control\r\n\r\n';

    async function served(t: TestContext): Promise<{ socket: string; client: ControlClient }> {
      const undo = new Undo(t);
      const dir = await temporaryFolder(undo);
      const socket = controlSocketPath(dir, '/images');
      const handlers = { 'GET /status': () => 'serving', 'GET /large': () => 'x'.repeat(4 * 2 ** 20) };
      const server = await startControlServer(socket, handlers);
      undo.after(() => server.close());
      return { socket, client: ControlClient.forMountpoint(dir, '/images') };
    }

    for (const [what, sent] of [
      ['a path that is no URL', 'GET // HTTP/1.1\r\nHost: x\r\n\r\n'],
      ['a URL of another kind', 'GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n'],
      ['a name of every object', 'GET /__proto__ HTTP/1.1\r\nHost: x\r\n\r\n'],
      ['no HTTP', '\0\x01\x02\r\n\r\n'],
      ['a head without end', `GET /${'x'.repeat(2 ** 20)}`],
      ['an upgrade', 'GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'],
      ['a tunnel', 'CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n'],
      ['a body', `POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n${'x'.repeat(70_000)}`],
      [
        'two lengths',
        'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1',
      ],
      ['more requests than answers are read', STATUS.repeat(1000)],
    ] as const)
      it(`answers after ${what}`, async (t) => {
        const { socket, client } = await served(t);
        await send(t, socket, sent);
        assert.equal(await client.get('/status'), 'serving');
      });

    it('answers after any bytes', async (t) => {
      const { socket, client } = await served(t);
      const unit = fc.constantFrom('/', '[', ']', ':', '@', '%', '?', '\\', 'a', '1', '.');
      const target = fc.string({ unit, minLength: 1, maxLength: 12 });
      const end = fc.constant(' HTTP/1.1\r\nHost: x\r\n\r\n');
      const head = fc.tuple(fc.constantFrom('GET ', 'POST '), target, end);
      const bytes = fc.oneof(
        head.map((parts) => Buffer.from(parts.join(''))),
        fc.uint8Array({ maxLength: 2048 }).map((array) => Buffer.from(array)),
      );
      await assertProperty(
        fc.asyncProperty(bytes, (sent) => send(t, socket, sent)),
        { numRuns: 200 },
      );
      assert.equal(await client.get('/status'), 'serving');
    });

    it('answers at once beside a thousand connections that ask nothing or take no answer', async (t) => {
      const { socket, client } = await served(t);
      const open = Array.from({ length: 1000 }, (_, at) => {
        const silent = connect(socket, () => at % 2 === 0 && silent.write(STATUS.slice(0, 20)));
        silent.on('error', () => undefined);
        t.after(() => silent.destroy());
        return once(silent, 'connect').catch(() => undefined);
      });
      await Promise.all(open);
      for (let reader = 0; reader < 20; reader += 1) {
        const deaf = connect(socket, () => deaf.pause().write(STATUS.replace('status', 'large')));
        deaf.on('error', () => undefined);
        t.after(() => deaf.destroy());
      }
      const began = performance.now();
      assert.equal(await client.get('/status'), 'serving');
      assert.ok(performance.now() - began < 4_000);
    });

    it('lets go of who asks nothing, or takes no answer', async (t) => {
      const { socket } = await served(t);
      for (const sent of ['GET /sta', STATUS.replace('status', 'large')]) {
        const peer = connect(socket);
        peer.on('error', () => undefined).write(sent);
        t.after(() => peer.destroy());
        await once(peer, 'connect');
        if (sent !== STATUS) await held(socket, 1);
        await held(socket, 0);
      }
    });
  });
});

/** Waits until the kernel shows `count` connections of that socket on the server's side. */
async function held(socket: string, count: number): Promise<void> {
  await eventually(`${count} connections`, async () => {
    const table = await readFile('/proc/net/unix', 'utf8');
    // The state of what listens is 01, of a connection 03.
    const connections = table.split('\n').filter((line) => line.endsWith(socket) && line.includes(' 03 '));
    return connections.length === count ? true : undefined;
  });
}

/** Sends it, says that nothing follows, and waits until the server has hung up, whatever it answers. */
async function send(t: TestContext, path: string, sent: string | Buffer): Promise<void> {
  const socket = connect(path);
  const undo = new Undo(t);
  undo.after(() => socket.destroy());
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket
    .on('error', () => undefined)
    .resume()
    .end(sent);
  assert.notEqual(await within(30_000, closed), 'late', 'the server keeps what has nothing to say');
}
