/** Texts that make a careless pattern try every end for every beginning: minutes of the main thread for one answer. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { errorOfAnswer } from '../../src/cinder/http/http-error.js';
import { endpointsOf, selectEndpoint } from '../../src/cinder/keystone/service-catalog.js';

/** As much as is read of an error (http.ts). */
const BYTES = 64 * 1024;
/** Milliseconds of processor for one answer, on a slow and busy host. */
const MOST_MS = 300;

function cpuMs(work: () => unknown): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

describe('an error of a service', () => {
  for (const piece of [
    'X-a',
    'X-----',
    'X-Token',
    '<head',
    '<',
    'password',
    'auth_key',
    'tokenpasswordsecret',
    'key="',
  ])
    it(`is read at once, be it made of ${piece}`, () => {
      const text = piece.repeat(BYTES / piece.length);
      const request = {
        service: 'Glance',
        method: 'GET',
        url: 'http://x/v2/images',
        repeat: 'always',
      } as const;
      const ms = cpuMs(() => errorOfAnswer(request, { status: 400, headers: {}, text, requestId: 'r' }));
      assert.ok(ms < MOST_MS, `${ms} ms`);
    });
});

describe('a service catalog', () => {
  it('has no endpoint of a thousand slashes', () => {
    const url = `http://x${'/'.repeat(200_000)}x`;
    const catalog = [{ type: 'image', endpoints: [{ interface: 'public', region_id: 'R', url }] }];
    const config = {
      serviceType: 'image',
      endpointOverride: undefined,
      region: undefined,
      interfaces: ['public' as const],
      serviceName: undefined,
    };
    const ms = cpuMs(() =>
      assert.throws(() => selectEndpoint(config, endpointsOf(catalog), 'p').replace(/\/+$/, ''), {
        code: 'endpoint_missing',
      }),
    );
    assert.ok(ms < MOST_MS, `${ms} ms`);
  });
});
