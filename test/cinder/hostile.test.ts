import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { describe, it, type TestContext } from 'node:test';
import { systemClock } from '../../src/async/clock.js';
import { Http } from '../../src/cinder/http/http.js';
import type { HttpRequest } from '../../src/cinder/http/exchange.js';
import { parseJson, TooMuch } from '../../src/cinder/http/json-text.js';
import { CinderfsError } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { fakeCloud } from '../support/fake-cloud.js';
import { every } from '../support/time.js';

const MIB = 2 ** 20;

interface Sent {
  bytes: number;
  closed: boolean;
  /** Resolves when the client has hung up. */
  readonly over: Promise<void>;
}

/** A server that begins to answer with `status` and repeats `piece` as long as somebody takes it. */
async function endless(t: TestContext, status: number, piece: string): Promise<{ url: string; sent: Sent }> {
  let hungUp = (): void => undefined;
  const over = new Promise<void>((resolve) => (hungUp = resolve));
  const sent: Sent = { bytes: 0, closed: false, over };
  const block = Buffer.from(piece.repeat(Math.ceil(65536 / piece.length)));
  const pump = (response: ServerResponse): void => {
    while (!sent.closed && sent.bytes < 200 * MIB) {
      sent.bytes += block.length;
      if (!response.write(block)) {
        response.once('drain', () => pump(response));
        return;
      }
    }
    response.end();
  };
  const { url } = await fakeCloud(t, {
    respond(_request, _url, response) {
      response.once('close', () => {
        sent.closed = true;
        hungUp();
      });
      response.writeHead(status, { 'content-type': 'application/json' });
      pump(response);
      return true;
    },
  });
  return { url, sent };
}

function get(url: string, options: Partial<HttpRequest> = {}): Promise<unknown> {
  const http = new Http({
    tls: { verify: true, cacert: undefined, cert: undefined, key: undefined },
    clock: systemClock,
    log: silentLog,
    timeoutMs: 20_000,
    retries: 2,
  });
  return http
    .request({ service: 'Glance', method: 'GET', url: `${url}/v2/images`, repeat: 'always', ...options })
    .finally(() => http.close());
}

/** Megabytes that `work` adds to this process at its peak, seen every few milliseconds. */
async function peak(work: () => Promise<unknown>): Promise<number> {
  const before = process.memoryUsage.rss();
  let most = before;
  const stop = every(5, () => (most = Math.max(most, process.memoryUsage.rss())));
  await work().finally(stop);
  return (Math.max(most, process.memoryUsage.rss()) - before) / MIB;
}

const refused = (pattern: RegExp) => (error: unknown) => {
  assert.ok(CinderfsError.is(error) && error.code === 'http_failed', String(error));
  assert.match(error.message, pattern);
  return true;
};

describe('an answer without end', () => {
  it('is cut off at its limit, and its server hears so', async (t) => {
    const { url, sent } = await endless(t, 200, '{"name": "image"},');
    const mib = await peak(() =>
      assert.rejects(
        get(url, { maxBytes: 2 * MIB }),
        refused(/GET \/v2\/images answered with more than 2097152/),
      ),
    );
    await sent.over;
    assert.ok(sent.bytes < 20 * MIB, `${sent.bytes} bytes were taken`);
    assert.ok(mib < 100, `${mib} MiB`);
  });

  it('is cut off early when it is an error', async (t) => {
    const { url, sent } = await endless(t, 400, 'x');
    await assert.rejects(get(url), refused(/answered 400: x+$/));
    await sent.over;
    assert.ok(sent.bytes < 10 * MIB, `${sent.bytes} bytes were taken`);
  });
});

describe('JSON that is small and huge', () => {
  it('is not parsed: nested, wide, and in the text of an error', async (t) => {
    const bodies = ['['.repeat(3 * MIB), `[${'[],'.repeat(MIB)}[]]`, `${'{"a":'.repeat(500_000)}1`];
    let body = '';
    let status = 200;
    const { url } = await fakeCloud(t, {
      respond(_request, _url, response) {
        response.writeHead(status, { 'content-type': 'application/json' });
        response.end(body);
        return true;
      },
    });
    for (body of bodies) {
      const began = performance.now();
      status = 200;
      const mib = await peak(() => assert.rejects(get(url), refused(/JSON that is too much/)));
      status = 400;
      await assert.rejects(get(url), refused(/answered 400/));
      assert.ok(mib < 100, `${mib} MiB`);
      assert.ok(performance.now() - began < 4000);
    }
  });

  it('is what it says: strings and escapes do not count', () => {
    const brackets = { '["[{\\': ['[[[['.repeat(1000), '"', '\\"[', '\\\\'] };
    assert.deepEqual(parseJson(JSON.stringify(brackets)), brackets);
    assert.deepEqual(parseJson('['.repeat(32) + ']'.repeat(32)), JSON.parse('['.repeat(32) + ']'.repeat(32)));
    assert.throws(() => parseJson('['.repeat(33) + ']'.repeat(33)), TooMuch);
    assert.throws(() => parseJson('"abc'), SyntaxError);
    assert.throws(() => parseJson(String.raw`["\\\"`), SyntaxError);
  });
});
