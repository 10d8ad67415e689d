import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { systemClock } from '../../src/async/clock.js';
import { Http } from '../../src/cinder/http.js';
import type { TlsConfig } from '../../src/config/cloud-config.js';
import { CinderfsError } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { temporaryFolder } from '../support/temporary.js';
import { CERTIFICATE, KEY } from './certificate.js';

async function httpsService(t: TestContext): Promise<{ url: string; connections: () => number }> {
  let connections = 0;
  const server = createServer({ key: KEY, cert: CERTIFICATE }, (_, response) => response.end('{}'));
  server.on('connection', () => connections++);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return { url: `https://127.0.0.1:${port}/`, connections: () => connections };
}

async function call(t: TestContext, url: string, tls: Partial<TlsConfig>): Promise<number> {
  const whole = { verify: true, cacert: undefined, cert: undefined, key: undefined, ...tls };
  const http = new Http({ tls: whole, clock: systemClock, log: silentLog, timeoutMs: 10_000, retries: 3 });
  t.after(() => http.close());
  return (await http.request({ service: 'Keystone', method: 'GET', url, repeat: 'always' })).status;
}

describe('a certificate', () => {
  it('that nobody vouches for is refused at once, with the way out', async (t) => {
    const { url, connections } = await httpsService(t);
    await assert.rejects(call(t, url, {}), (error) => {
      assert.ok(CinderfsError.is(error));
      assert.match(error.message, /self-signed certificate/);
      assert.match(error.remedy, /cacert/);
      return true;
    });
    assert.equal(connections(), 1, 'asking again would not help');
  });

  it('is trusted when cacert vouches for it', async (t) => {
    const { url } = await httpsService(t);
    const cacert = join(await temporaryFolder(t), 'ca.pem');
    await writeFile(cacert, CERTIFICATE);
    assert.equal(await call(t, url, { cacert }), 200);
  });

  it('is not looked at when verification is off', async (t) => {
    const { url } = await httpsService(t);
    assert.equal(await call(t, url, { verify: false }), 200);
  });

  it('file that cannot be read is a fault of the configuration', async (t) => {
    const cacert = join(await temporaryFolder(t), 'none.pem');
    await assert.rejects(
      call(t, 'https://127.0.0.1:1/', { cacert }),
      (error) => CinderfsError.is(error) && error.code === 'config_invalid' && error.message.includes(cacert),
    );
  });
});
