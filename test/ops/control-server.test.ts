import assert from 'node:assert/strict';
import { stat, writeFile, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import { ControlClient } from '../../src/cli/control-client.js';
import { CinderfsError } from '../../src/errors.js';
import { startControlServer } from '../../src/ops/control-server.js';
import { controlSocketPath } from '../../src/ops/control-socket.js';
import { temporaryFolder } from '../support/temporary.js';

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
});
