import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CinderfsError } from '../../src/errors.js';
import { harness, HOUR, token } from './session-harness.js';

describe('a session', () => {
  it('logs in once for all who need a token at the same time', async (t) => {
    const { session, logins } = await harness(t);
    const tokens = await Promise.all(Array.from({ length: 20 }, () => session.token()));
    assert.equal(logins(), 1);
    assert.equal(new Set(tokens).size, 1);
  });

  it('counts the lifetime from the login, whatever the clock of Keystone shows', async (t) => {
    const { session, clock } = await harness(t);
    const { endsAt, renewAt } = await session.token();
    assert.equal(endsAt, clock.now() + HOUR);
    assert.equal(renewAt, clock.now() + HOUR - 300_000);
  });

  it('renews before the end without making anybody wait', async (t) => {
    const { session, clock, logins } = await harness(t);
    const first = await session.token();
    await clock.advance(HOUR - 299_000);
    assert.equal(await session.token(), first, 'the old one serves meanwhile');
    while ((await session.token()) === first) await clock.advance(0);
    assert.equal(logins(), 2);
  });

  it('keeps the old token, and asks seldom, while Keystone is away', async (t) => {
    const { session, clock, logins, warnings } = await harness(t, {
      login: (n) => (n === 1 ? token(1) : { status: 503 }),
    });
    const first = await session.token();
    await clock.advance(HOUR - 299_000);
    await session.token();
    while (warnings.length === 0) await clock.advance(0);
    for (let second = 0; second < 9; second++) {
      await clock.advance(1000);
      assert.equal(await session.token(), first);
    }
    assert.equal(logins(), 2);
    await clock.advance(HOUR);
    await assert.rejects(
      session.token(),
      (error) => CinderfsError.is(error) && error.code === 'auth_unreachable',
    );
  });

  it('replaces a refused token once, however many calls it was refused to', async (t) => {
    const { session, service, logins } = await harness(t, {
      api: (id) => (id === 'token-1' ? { status: 401 } : { body: { token: id } }),
    });
    const call = (): Promise<unknown> =>
      session.request('volume', { method: 'POST', url: `${service.url}/x`, repeat: 'unsent' });
    const answers = await Promise.all(Array.from({ length: 12 }, call));
    assert.equal(answers.length, 12);
    assert.equal(logins(), 2);
  });

  it('does not try a third token', async (t) => {
    const { session, service, logins } = await harness(t, { api: () => ({ status: 401 }) });
    await assert.rejects(
      session.request('volume', { method: 'GET', url: service.url, repeat: 'always' }),
      (error) => CinderfsError.is(error) && error.code === 'auth_failed' && error.context.status === 401,
    );
    assert.equal(logins(), 2);
  });

  it('vouches for itself with a service token only if it is a service', async (t) => {
    for (const roles of [['member'], ['member', 'service']]) {
      const { session, service } = await harness(t, { login: (n) => token(n, roles) });
      await session.request('volume', { method: 'GET', url: `${service.url}/x`, repeat: 'always' });
      const expected = roles.includes('service') ? 'token-1' : undefined;
      assert.equal(service.requests.at(-1)?.headers['x-service-token'], expected);
    }
  });

  it('lets one who waits leave, and the login go on for the others', async (t) => {
    const leave = new AbortController();
    const { session, logins } = await harness(t);
    const leaver = session.token({ signal: leave.signal });
    const stayer = session.token();
    leave.abort();
    await assert.rejects(leaver, (error) => CinderfsError.is(error) && error.code === 'interrupted');
    assert.equal((await stayer).projectId, 'p1');
    assert.equal(logins(), 1);
  });

  it('logs in beside a login that hangs, and serves all who wait for that one', async (t) => {
    const { session, clock, logins } = await harness(t, { login: (n) => (n === 1 ? 'hang' : token(n)) });
    const early = session.token();
    while (logins() === 0) await clock.advance(0);
    await clock.advance(9_000);
    const late = session.token();
    await clock.advance(1_000);
    assert.equal((await early).id.reveal(), 'token-2');
    assert.equal(await late, await early);
    assert.deepEqual([logins(), clock.pending], [2, 0]);
  });

  it('says what is wrong with an answer that is no token', async (t) => {
    for (const answer of [
      { status: 201, body: token(1).body },
      { status: 201, headers: { 'x-subject-token': 't' }, body: { token: { project: { id: 'p' } } } },
      { status: 201, headers: { 'x-subject-token': 't' }, body: [] },
    ]) {
      const { session } = await harness(t, { login: () => answer });
      await assert.rejects(
        session.token(),
        (error) =>
          CinderfsError.is(error) &&
          error.code === 'http_failed' &&
          error.message.includes("Keystone's answer"),
      );
    }
  });

  it('takes the endpoint from the catalog, or the override with the project filled in', async (t) => {
    const { session } = await harness(t);
    assert.equal(await session.endpoint('volume'), 'http://cinder.test/v3/p1');
    await assert.rejects(
      session.endpoint('image'),
      (error) =>
        CinderfsError.is(error) && error.code === 'endpoint_missing' && error.message.includes('volumev3'),
    );
    const { session: overridden } = await harness(t, { override: 'http://other.test/v3/%(project_id)s/' });
    assert.equal(await overridden.endpoint('volume'), 'http://other.test/v3/p1');
  });
});
