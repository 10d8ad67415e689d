import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { systemClock, type Clock } from '../../src/async/clock.js';
import { Http } from '../../src/cinder/http/http.js';
import type { HttpRequest } from '../../src/cinder/http/exchange.js';
import { CinderfsError } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { fakeService } from './fake-service.js';
import { ManualClock } from '../fakes/manual-clock.js';

const TLS = { verify: true, cacert: undefined, cert: undefined, key: undefined };

function client(t: TestContext, clock: Clock = systemClock): Http {
  const http = new Http({
    tls: TLS,
    clock,
    log: silentLog,
    timeoutMs: 20_000,
    retries: 3,
    backoff: { baseMs: 1, capMs: 2 },
  });
  t.after(() => http.close());
  return http;
}

const get = (url: string, more: Partial<HttpRequest> = {}): HttpRequest => ({
  service: 'Cinder',
  method: 'GET',
  url,
  repeat: 'always',
  ...more,
});

const post = (url: string): HttpRequest => get(url, { method: 'POST', body: { a: 1 }, repeat: 'unsent' });

function failure(code: string, pattern: RegExp): (error: unknown) => true {
  return (error) => {
    assert.ok(CinderfsError.is(error), String(error));
    assert.equal(error.code, code, error.toLine());
    assert.match(error.message, pattern);
    return true;
  };
}

describe('a call that is safe to repeat', () => {
  it('survives dropped connections and 5xx answers', async (t) => {
    const replies = ['drop', { status: 503 }, { body: { fine: true } }] as const;
    const service = await fakeService(t, (_, index) => replies[index] ?? 'drop');
    const answer = await client(t).request(get(service.url));
    assert.deepEqual(answer.body, { fine: true });
    const ids = new Set(service.requests.map(({ headers }) => headers['x-openstack-request-id']));
    assert.equal(service.requests.length, 3);
    assert.equal(ids.size, 1, 'all attempts carry one id');
    assert.match(String([...ids][0]), /^req-[0-9a-f-]{36}$/);
  });

  it('ends after its retries with what was said last and the request id of the service', async (t) => {
    const service = await fakeService(t, () => ({
      status: 500,
      headers: { 'x-compute-request-id': 'req-from-cinder' },
      body: { computeFault: { code: 500, message: 'no   database' } },
    }));
    await assert.rejects(
      client(t).request(get(`${service.url}/v3/${'a'.repeat(32)}/volumes?limit=1`)),
      (error) => {
        failure('http_failed', /^Cinder: GET \/v3\/volumes answered 500: no database$/)(error);
        assert.equal((error as CinderfsError).context.requestId, 'req-from-cinder');
        return true;
      },
    );
    assert.equal(service.requests.length, 4);
  });

  it('is not repeated after 4xx', async (t) => {
    const codes = {
      400: 'http_failed',
      401: 'auth_failed',
      403: 'forbidden',
      404: 'not_found',
      409: 'conflict',
    };
    for (const [status, code] of Object.entries(codes)) {
      const service = await fakeService(t, () => ({ status: Number(status), body: 'gone' }));
      await assert.rejects(client(t).request(get(service.url)), failure(code, /answered 4\d\d: gone/));
      assert.equal(service.requests.length, 1);
    }
  });

  it('waits as long as Retry-After says', async (t) => {
    const clock = new ManualClock();
    const service = await fakeService(t, (_, index) =>
      index === 0 ? { status: 503, headers: { 'retry-after': '7' } } : {},
    );
    const call = client(t, clock).request(get(service.url));
    // Two timers: the deadline of the call and, once the 503 is there, the pause.
    while (clock.pending < 2) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(clock.nextAt, clock.now() + 7000);
    await clock.advance(7000);
    await call;
    assert.equal(service.requests.length, 2);
    assert.equal(clock.pending, 0);
  });

  it('does not begin a pause that its deadline would end', async (t) => {
    const service = await fakeService(t, () => ({ status: 503, headers: { 'retry-after': '25' } }));
    await assert.rejects(client(t).request(get(service.url)), failure('http_failed', /503/));
    assert.equal(service.requests.length, 1);
  });
});

describe('a call that has an effect', () => {
  it('is not repeated when the answer was lost or bad', async (t) => {
    for (const reply of ['drop', { status: 503 }] as const) {
      const service = await fakeService(t, () => reply);
      await assert.rejects(client(t).request(post(service.url)), failure('http_failed', /POST \//));
      assert.equal(service.requests.length, 1);
    }
  });

  it('is repeated while no connection can be made', async (t) => {
    const debug: string[] = [];
    const log = { ...silentLog, debug: (_: object, message: string) => void debug.push(message) };
    const http = new Http({
      tls: TLS,
      clock: systemClock,
      log,
      timeoutMs: 5000,
      retries: 2,
      backoff: { baseMs: 1, capMs: 1 },
    });
    t.after(() => http.close());
    await assert.rejects(http.request(post('http://127.0.0.1:1/')), failure('http_failed', /ECONNREFUSED/));
    assert.equal(debug.length, 2);
  });

  it('never uses a connection that was used before', async (t) => {
    const ports = new Set<string>();
    const service = await fakeService(t, ({ headers }) => {
      ports.add(String(headers.connection));
      return {};
    });
    const http = client(t);
    await http.request(post(service.url));
    await http.request(post(service.url));
    assert.deepEqual([...ports], ['close']);
  });
});

describe('a deadline', () => {
  it('ends a call that hangs, and leaves no timer', async (t) => {
    const clock = new ManualClock();
    const arrived = deferred();
    const service = await fakeService(t, () => {
      arrived.resolve();
      return 'hang';
    });
    const call = client(t, clock).request(get(service.url, { deadlineMs: 500 }));
    const rejected = assert.rejects(call, failure('http_timeout', /no answer within 0\.5 s/));
    await arrived.promise;
    await clock.advance(500);
    await rejected;
    assert.equal(clock.pending, 0);
  });

  it('gives way to a caller who leaves', async (t) => {
    const leave = new AbortController();
    const service = await fakeService(t, () => {
      leave.abort();
      return 'hang';
    });
    await assert.rejects(
      client(t).request(get(service.url, { signal: leave.signal })),
      failure('interrupted', /gave up/),
    );
  });
});

describe('an answer', () => {
  it('that is not JSON is an error, even with 200', async (t) => {
    const service = await fakeService(t, () => ({ body: '<html>welcome</html>' }));
    await assert.rejects(client(t).request(get(service.url)), failure('http_failed', /not JSON/));
  });

  it('is shown as text: HTML without tags, no secret that it quotes, not too much', async (t) => {
    const body = {
      message: `No <b>image</b><br /><br />\n\n {"password": "hunter2", 'secret': 'tell', token=gAAAAABabcdefghijklmnopqrstuvwxyz0123} ${'x'.repeat(900)}`,
    };
    const service = await fakeService(t, () => ({ status: 400, body }));
    await assert.rejects(client(t).request(get(service.url)), (error) => {
      failure('http_failed', /No image \{/)(error);
      const { message } = error as CinderfsError;
      assert.ok(!/hunter2|tell|gAAAA/.test(message), message);
      assert.ok(message.length < 500);
      return true;
    });
  });
});

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
