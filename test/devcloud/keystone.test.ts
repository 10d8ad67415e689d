import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { APPLICATION_CREDENTIAL, PROJECTS, USERS } from '../../devcloud/identity.js';
import { pick, pickText } from '../../devcloud/json.js';
import { Tokens } from '../../devcloud/tokens.js';
import { authenticate, Client, cloudFor, request, type Answer } from './client.js';

describe('tokens', () => {
  const login = (url: string, identity: object, scope?: object): Promise<Answer> =>
    request('POST', `${url}/identity/v3/auth/tokens`, {
      auth: { identity, ...(scope === undefined ? {} : { scope }) },
    });

  it('are given for a name and for an id, and the catalog leads to the three services', async (t) => {
    const { url } = await cloudFor(t);
    const user = { id: USERS.cinderfs.id, password: USERS.cinderfs.password };
    const scope = { project: { id: PROJECTS.service.id } };
    const answer = await login(url, { methods: ['password'], password: { user } }, scope);
    assert.equal(answer.status, 201);
    const catalog = pick(answer.body, 'token', 'catalog') as { type: string; endpoints: { url: string }[] }[];
    const urls = Object.fromEntries(catalog.map(({ type, endpoints }) => [type, endpoints[0]?.url]));
    assert.deepEqual(urls, {
      image: `${url}/image`,
      identity: `${url}/identity/v3`,
      volumev3: `${url}/volume/v3/${PROJECTS.service.id}`,
    });
  });

  it('are refused for a wrong password, user, project, domain and a project the user has no role in', async (t) => {
    const { url, env } = await cloudFor(t);
    for (const wrong of [
      { OS_PASSWORD: 'x' },
      { OS_USERNAME: 'nobody' },
      { OS_PROJECT_NAME: 'nowhere' },
      { OS_PROJECT_NAME: 'demo' },
      { OS_USER_DOMAIN_NAME: 'Elsewhere' },
    ]) {
      assert.equal((await authenticate(url, { ...env, ...wrong })).status, 401, JSON.stringify(wrong));
    }
    assert.equal((await request('POST', `${url}/identity/v3/auth/tokens`, { auth: {} })).status, 400);
  });

  it('come for an application credential, by id or by name and user, but never with a scope', async (t) => {
    const { url } = await cloudFor(t);
    const { id, name, secret } = APPLICATION_CREDENTIAL;
    const methods = ['application_credential'];
    const byName = { name, secret, user: { name: 'cinderfs', domain: { id: 'default' } } };
    for (const credential of [{ id, secret }, byName]) {
      const answer = await login(url, { methods, application_credential: credential });
      assert.equal(answer.status, 201);
      assert.equal(pickText(answer.body, 'token', 'project', 'name'), 'service');
    }
    const scope = { project: { id: PROJECTS.service.id } };
    assert.equal((await login(url, { methods, application_credential: { id, secret } }, scope)).status, 401);
    assert.equal((await login(url, { methods, application_credential: { id, secret: 'x' } })).status, 401);
  });

  it('without a scope have no project and open no volume', async (t) => {
    const { url } = await cloudFor(t);
    const user = { id: USERS.cinderfs.id, password: USERS.cinderfs.password };
    const answer = await login(url, { methods: ['password'], password: { user } });
    assert.equal(pick(answer.body, 'token', 'project'), undefined);
    const headers = { 'X-Auth-Token': answer.headers.get('x-subject-token') ?? '' };
    assert.equal((await request('GET', `${url}/volume/v3/volumes`, undefined, headers)).status, 403);
  });

  it('expire after their time', () => {
    let now = 5_000_500;
    const tokens = new Tokens(20, () => now);
    const grant = { method: 'password', user: USERS.demo, project: undefined, roles: [] } as const;
    const token = tokens.issue({ ...grant, applicationCredential: undefined });
    assert.equal(token.issuedAt % 1000, 0, 'Keystone counts in whole seconds');
    now += 20_000;
    assert.equal(tokens.find(token.id), token);
    now += 1_000;
    assert.equal(tokens.find(token.id), undefined);
  });

  it('are revoked one by one, and all at once on demand: then all three services say 401', async (t) => {
    const devcloud = await cloudFor(t);
    const { url } = devcloud;
    const revoked = await Client.login(devcloud);
    const tokens = `${url}/identity/v3/auth/tokens`;
    const headers = { 'X-Auth-Token': revoked.token, 'X-Subject-Token': revoked.token };
    assert.equal((await request('GET', tokens, undefined, headers)).status, 200);
    assert.equal((await request('DELETE', tokens, undefined, headers)).status, 204);
    const swept = await Client.login(devcloud);
    assert.equal((await swept.glance('GET', '/v2/images')).status, 200);
    assert.equal((await request('DELETE', `${url}/_devcloud/tokens`)).status, 204);
    for (const client of [revoked, swept]) {
      assert.equal((await client.glance('GET', '/v2/images')).status, 401);
      assert.equal((await client.cinder('GET', '/volumes')).status, 401);
      const own = { 'X-Auth-Token': client.token };
      assert.equal((await request('GET', `${url}/identity/v3/auth/catalog`, undefined, own)).status, 401);
    }
  });

  it('vouch for a service: an invalid X-Service-Token spoils a valid X-Auth-Token', async (t) => {
    const client = await Client.login(await cloudFor(t));
    const ask = (token: string): Promise<Answer> =>
      client.cinder('GET', '/volumes', undefined, { 'X-Service-Token': token });
    assert.equal((await ask(client.token)).status, 200);
    assert.equal((await ask('garbage')).status, 401);
  });
});
