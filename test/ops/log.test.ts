import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { Module } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { CinderfsError } from '../../src/errors.js';
import type { Log } from '../../src/log.js';
import { createLog, type LogFormat } from '../../src/ops/log.js';
import { Secret } from '../../src/secret.js';

/** What a log writes, as it stands in the file. */
function logged(t: TestContext, format: LogFormat, use: (log: Log) => void): string {
  const folder = mkdtempSync(join(tmpdir(), 'cinderfs-log-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const fd = openSync(join(folder, 'log'), 'a');
  use(createLog({ level: 'debug', format, fd }));
  closeSync(fd);
  return readFileSync(join(folder, 'log'), 'utf8');
}

const FORMATS: readonly LogFormat[] = ['json', 'text'];

describe('the log', () => {
  it('hides what is secret by its name, at any depth, in lists and maps', (t) => {
    const evil = 'hunter2-by-name';
    const deep = { a: { b: { c: { d: [{ auth_password: evil }, new Map([['secret', evil]])] } } } };
    const fields = {
      deep,
      'x-auth-token': evil,
      headers: [{ 'X-Subject-Token': evil }],
      adminPassword: evil,
    };
    const more = { connection_info: { a: evil }, connectionInfo: [evil], auth_username: evil, keyring: evil };
    for (const format of FORMATS) {
      const text = logged(t, format, (log) => log.warn({ ...fields, ...more, volume: 'v-1' }, 'text'));
      assert.doesNotMatch(text, /hunter2/);
      assert.match(text, /v-1/);
    }
  });

  it('hides what this process knows to be secret, whatever it is called and wherever it stands', (t) => {
    const secret = new Secret('s3cret "with\\quotes');
    const value = secret.reveal();
    const bug = new Error(`iscsiadm -v ${value} failed`);
    for (const format of FORMATS) {
      const text = logged(t, format, (log) => {
        log.info({ reason: `said ${value}`, list: [[[[[value]]]]], [`key ${value}`]: 1 }, `message ${value}`);
        log.error({ err: bug, secretly: secret }, 'x');
        log.error({ error: new CinderfsError('internal', `quotes ${value}`, { cause: bug }) }, 'x');
      });
      assert.doesNotMatch(text, /s3cret|with\\+quotes/);
      assert.ok(text.split('\n').length > 3, text);
    }
  });

  it('shows of an error what is needed, and nothing that happens to hang on it', (t) => {
    const result = Object.assign(new Error('Command failed: x\nstdout of it'), {
      shortMessage: 'Command failed: x',
      code: 'E7',
      options: { env: { OS_PASSWORD: 'carried-along' } },
      stdout: 'carried-along',
    });
    const error = new CinderfsError('connector_failed', 'x failed', {
      volume: 'v-1',
      requestId: 'req-1',
      cause: new AggregateError([result], 'all of them'),
    });
    const text = logged(t, 'json', (log) => log.warn({ deep: { error, errors: [error] } }, 'x'));
    assert.doesNotMatch(text, /carried-along/);
    const { deep } = JSON.parse(text) as { deep: { error: Record<string, unknown> } };
    const { cause, ...own } = deep.error;
    assert.deepEqual(own, {
      code: 'connector_failed',
      message: 'x failed',
      volume: 'v-1',
      request_id: 'req-1',
    });
    assert.match(
      JSON.stringify(cause),
      /"errors":\[\{"name":"Error","code":"E7","message":"Command failed: x"/,
    );
  });

  it('takes anything: circles, depths, odd values', (t) => {
    const circle: Record<string, unknown> = {
      big: 1n,
      date: new Date(NaN),
      bytes: Buffer.alloc(9),
      f: () => 1,
    };
    circle.self = circle;
    let deep: unknown = 'end';
    for (let depth = 0; depth < 10_000; depth++) deep = [deep];
    const text = logged(t, 'json', (log) => log.info({ circle, deep, long: 'x'.repeat(100_000) }, 'fine'));
    assert.ok(text.length < 8000 && text.includes('"msg":"fine"'), text.slice(0, 200));
  });

  it('moves no cursor', (t) => {
    const evil = 'a\u001b[31m\u007f\u009b1m\u202eb\u2028c\ufeff';
    for (const format of FORMATS) {
      const text = logged(t, format, (log) => log.warn({ reason: evil, [evil]: evil }, `${evil}\nfake line`));
      assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    }
  });

  it('writes its lines when the package that forms them cannot be loaded, and hides what it hides', (t) => {
    const loader = Module as unknown as { _load: (request: string, ...rest: unknown[]) => unknown };
    const load = loader._load;
    t.mock.method(loader, '_load', (request: string, ...rest: unknown[]) => {
      if (request === 'pino') throw new Error('EMFILE: too many open files');
      return load.call(loader, request, ...rest);
    });
    const secret = new Secret('s3cret-at-the-limit');
    for (const format of FORMATS) {
      const text = logged(t, format, (log) =>
        log.error({ password: 'hunter2', volume: 'v-1' }, `gone\n${secret.reveal()}`),
      );
      assert.match(text, /^\{"level":"error".*v-1.*EMFILE.*gone.*\}\n$/);
      assert.doesNotMatch(text, /hunter2|s3cret/);
    }
  });
});
