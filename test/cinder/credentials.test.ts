import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LoginFailure } from '../../src/cinder/keystone/session.js';
import { CinderfsError } from '../../src/errors.js';
import type { FakeAnswer, Reply } from './fake-service.js';
import { harness, HOUR, token } from './session-harness.js';

describe('credentials', () => {
  it("says in Keystone's words why it was refused, and which factors it lacks", async (t) => {
    const expired = 'The password is expired and needs to be changed for user: f00.';
    const { session } = await harness(t, {
      login: () => ({ status: 401, body: { error: { code: 401, message: `${expired}\n\u001b[31mpw` } } }),
    });
    await assert.rejects(session.token(), (error) => {
      assert.ok(CinderfsError.is(error) && error.code === 'auth_failed' && error.context.status === 401);
      assert.match(
        error.message,
        /refused user 'u' in project 'p' \(cloud 'test'\): The password is expired/,
      );
      return true;
    });
    const second = await harness(t, {
      login: () => ({
        status: 401,
        headers: { 'openstack-auth-receipt': 'r' },
        body: { receipt: {}, required_auth_methods: [['password', 'totp']] },
      }),
    });
    await assert.rejects(second.session.token(), (error) => {
      assert.ok(CinderfsError.is(error));
      assert.match(error.message, /it wants password and totp/);
      assert.match(error.remedy, /application credential/);
      return true;
    });
  });

  it('says who refused: Keystone accepted it, a service does not take its fresh token', async (t) => {
    const { session, service } = await harness(t, { api: () => ({ status: 401 }) });
    const asked = session.request('volume', { method: 'GET', url: service.url, repeat: 'always' });
    await assert.rejects(asked, (error) => {
      assert.ok(CinderfsError.is(error) && error.code === 'auth_failed');
      assert.match(
        error.message,
        /^Keystone accepted user 'u' in project 'p', but Cinder refused the new token/,
      );
      assert.match(error.remedy, /access rules.*keystone_authtoken/);
      assert.doesNotMatch(error.remedy, /token issue/);
      return true;
    });
  });

  it('takes up new credentials at once when the old ones are refused, once per change', async (t) => {
    let settings: string | undefined = 'pw';
    const { session, passwords, clock, warnings } = await harness(t, {
      login: () => (passwords.at(-1) === 'new' ? token(1) : { status: 401 }),
      password: () => settings,
    });
    const refused = async (): Promise<void> =>
      assert.rejects(session.token(), (error) => CinderfsError.is(error) && error.code === 'auth_failed');
    await refused();
    assert.deepEqual(passwords, ['pw'], 'what did not change is not tried twice');
    settings = undefined;
    await clock.advance(1_000);
    await refused();
    assert.ok(warnings.some((warning) => warning.includes('those of the start are kept')));
    settings = 'new';
    await clock.advance(1_000);
    await Promise.all(Array.from({ length: 10 }, () => session.token()));
    assert.deepEqual(passwords, ['pw', 'pw', 'new']);
  });

  it('does not try refused credentials again and again, whoever asks', async (t) => {
    const { session, logins, clock } = await harness(t, { login: () => ({ status: 401 }) });
    for (let second = 0; second < 120; second++) {
      await assert.rejects(session.token());
      await assert.rejects(session.token());
      await clock.advance(1_000);
    }
    assert.ok(
      logins() >= 5 && logins() <= 10,
      `${logins()} logins in two minutes: an account would be locked`,
    );
  });

  it('tells since when logins fail, and why, until they succeed', async (t) => {
    let keystone: Reply = { status: 401, body: { error: { message: 'account is locked' } } };
    const { session, clock } = await harness(t, { login: () => keystone });
    const failure = (): LoginFailure | undefined => session.loginFailure;
    assert.equal(failure(), undefined);
    const since = clock.wall();
    await assert.rejects(session.token());
    await clock.advance(60_000);
    await assert.rejects(session.token());
    assert.equal(failure()?.since, since);
    assert.match(failure()?.error.message ?? '', /account is locked/);
    keystone = token(1);
    await clock.advance(60_000);
    await session.token();
    assert.equal(failure(), undefined);
  });

  it('reads the settings again when it is told to, while its token serves on', async (t) => {
    const { session, passwords, clock } = await harness(t, { login: (n) => token(n), password: () => 'new' });
    const first = await session.token();
    session.reload();
    assert.equal(await session.token(), first);
    while ((await session.token()) === first) await clock.advance(0);
    assert.deepEqual(passwords, ['pw', 'new']);
  });

  it('stays in its project, whatever the settings say later', async (t) => {
    const elsewhere = token(2);
    const moved = JSON.parse(JSON.stringify(elsewhere).replaceAll('"p1"', '"p2"')) as FakeAnswer;
    const { session, clock } = await harness(t, { login: (n) => (n === 1 ? token(1) : moved) });
    await session.token();
    await clock.advance(HOUR + 1);
    await assert.rejects(session.token(), (error) => {
      assert.ok(CinderfsError.is(error) && error.code === 'auth_failed');
      assert.match(error.message, /now lead to project p2, and this mount serves p1/);
      return true;
    });
  });

  it('takes tokens larger than 16 KiB', async (t) => {
    const large = 'x'.repeat(60_000);
    const { session } = await harness(t, {
      login: () => ({ ...token(1), headers: { 'x-subject-token': large } }),
    });
    assert.equal((await session.token()).id.reveal(), large);
  });
});
