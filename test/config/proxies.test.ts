import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { proxiesOf, proxyTo } from '../../src/config/proxies.js';
import { assertProperty, seedFor } from '../support/seeds.js';
import { failure } from './cloud-world.js';
import { openstacksdk } from './sdk/reference.js';

const SEED = seedFor();

const host = fc.constantFrom(
  ...['keystone.test', 'openstack.test', 'test', 'k.prod.openstack.test', 'KEYSTONE.test', 'localhost'],
  ...['10.0.0.7', '10.1.0.7', '127.0.0.1', '[::1]', '[fd00::7]'],
);
const exception = fc.constantFrom(
  ...[
    'keystone.test',
    '.test',
    'ack.test',
    'openstack.test:5000',
    '.openstack.test',
    '10.0.0.7',
    '10.0.0.0/16',
  ],
  ...[
    '10.0.0.0/0',
    '10.0.0.0/33',
    '10.0.0.0/x',
    '*',
    '*.test',
    ' test',
    '',
    '::1',
    '[::1]',
    '0.7',
    'TEST',
    'localhost',
  ],
);
const proxy = fc.constantFrom('http://p1.test:3128', 'https://p2.test', 'http://p3.test:8080', '');
const url = fc
  .tuple(fc.constantFrom('http', 'https'), host, fc.constantFrom('', ':5000', ':8776'))
  .map(([scheme, name, port]) => `${scheme}://${name}${port}/v3`);
const environment = fc
  .dictionary(
    fc.constantFrom('HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy'),
    proxy,
  )
  .chain((env) =>
    fc
      .record(
        { NO_PROXY: fc.array(exception, { maxLength: 3 }), no_proxy: fc.array(exception, { maxLength: 3 }) },
        { requiredKeys: [] },
      )
      .map((lists) => ({
        ...env,
        ...Object.fromEntries(
          Object.entries(lists)
            .map(([name, list]) => [name, list.join(',')] as const)
            // requests and urllib, which it asks as well, do not agree on an empty one.
            .filter(([, list]) => list !== ''),
        ),
      })),
  );

describe('a proxy', () => {
  it(`is the one that requests takes (seed ${SEED})`, async (t) => {
    const ask = openstacksdk(t);
    await assertProperty(
      fc.asyncProperty(environment, url, async (env, to) => {
        const { proxy: theirs } = (await ask({ env, url: to })) as { proxy: string | null };
        assert.equal(proxyTo(to, proxiesOf(env))?.url ?? null, theirs, `${JSON.stringify(env)} ${to}`);
      }),
      { numRuns: 500, seed: SEED },
    );
  });

  it('may ask for a name and a password, which it alone is told', () => {
    const found = proxyTo('https://k.test', proxiesOf({ HTTPS_PROXY: 'http://me:p%40ss@p.test:3128' }));
    assert.equal(found?.url, 'http://p.test:3128');
    assert.equal(found.authorization?.reveal(), `Basic ${Buffer.from('me:p@ss').toString('base64')}`);
    assert.ok(!JSON.stringify(found).includes('p%40ss'));
  });

  it('of another kind is refused, its address not shown: it may hold a password', () => {
    for (const text of ['socks5://u:hunter2@p.test', 'http://u:hunter2@']) {
      assert.throws(
        () => proxiesOf({ ALL_PROXY: text }),
        (error) => {
          failure('config_invalid', /ALL_PROXY does not name an http or https proxy/)(error);
          return !(error as Error).message.includes('hunter2');
        },
      );
    }
  });
});
