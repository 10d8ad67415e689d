import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, it, type TestContext } from 'node:test';
import { systemClock } from '../../src/async/clock.js';
import { Http } from '../../src/cinder/http/http.js';
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

  it('is trusted when it is in a directory of authorities, or beside what vouches otherwise', async (t) => {
    const { url } = await httpsService(t);
    const directory = join(await temporaryFolder(t), 'certs');
    await mkdir(directory);
    await writeFile(join(directory, '0a1b2c3d.0'), CERTIFICATE);
    await writeFile(join(directory, 'README'), 'not one');
    assert.equal(await call(t, url, { cacert: directory }), 200);
    // NODE_EXTRA_CA_CERTS: with it a shell worked and systemd did not.
    assert.equal(await call(t, url, { extra: join(directory, '0a1b2c3d.0') }), 200);
    await assert.rejects(
      call(t, url, { cacert: join(directory, 'README') }),
      (error) =>
        CinderfsError.is(error) &&
        error.code === 'config_invalid' &&
        error.message.includes('holds no certificate'),
    );
  });

  const skip = process.getuid?.() === 0 ? false : 'needs root for a mount namespace';
  it('is trusted when the system trusts it, as curl and the OpenStack clients do', { skip }, async (t) => {
    const { url } = await httpsService(t);
    const bundle = join(await temporaryFolder(t), 'bundle.crt');
    await writeFile(bundle, CERTIFICATE);
    const http = fileURLToPath(new URL('../../src/cinder/http/http.js', import.meta.url));
    const clock = fileURLToPath(new URL('../../src/async/clock.js', import.meta.url));
    const script = `
      const { Http } = await import(${JSON.stringify(http)});
      const { systemClock } = await import(${JSON.stringify(clock)});
      const log = { debug() {}, info() {}, warn() {}, error() {} };
      const client = new Http({ tls: { verify: true }, clock: systemClock, log, timeoutMs: 10000, retries: 0 });
      const answer = await client.request({ service: 'Keystone', method: 'GET', url: ${JSON.stringify(url)}, repeat: 'always' });
      console.log(answer.status);
      await client.close();`;
    const inside = `mount --bind ${bundle} /etc/ssl/certs/ca-certificates.crt && exec "$0" --input-type=module -e "$1"`;
    const { stdout } = await promisify(execFile)(
      'unshare',
      ['-m', '--propagation', 'private', 'sh', '-c', inside, process.execPath, script],
      { env: { PATH: process.env.PATH }, timeout: 30_000 },
    );
    assert.equal(stdout.trim(), '200');
  });
});
