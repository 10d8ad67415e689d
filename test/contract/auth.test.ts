import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { VolumeEndpoint } from '../../src/cinder/volumes/microversion.js';
import type { CloudConfig, Reference } from '../../src/config/cloud-config.js';
import { Secret } from '../../src/secret.js';
import { CinderfsError } from '../../src/errors.js';
import { cloudForSuite, configure, connect } from './cloud-under-test.js';
import { startLoginProxy } from './login-proxy.js';

/** Matches a CinderfsError of that code whose line holds all `texts`. */
function failure(code: string, ...texts: string[]): (error: unknown) => true {
  return (error) => {
    assert.ok(CinderfsError.is(error), String(error));
    assert.equal(error.code, code, error.toLine());
    for (const text of texts) assert.ok(error.toLine().includes(text), `'${text}' in: ${error.toLine()}`);
    return true;
  };
}

function spoil(changes: { password?: string; project?: string }): (cloud: CloudConfig) => CloudConfig {
  return (cloud) => {
    assert.ok(cloud.auth.method === 'password');
    const project: Reference =
      changes.project === undefined
        ? cloud.auth.project
        : { name: changes.project, domain: { id: 'default' } };
    const password = changes.password === undefined ? cloud.auth.password : new Secret(changes.password);
    return { ...cloud, auth: { ...cloud.auth, password, project } };
  };
}

describe('logging in', () => {
  const cloud = cloudForSuite();

  it('works with a password and knows project and roles', async (t) => {
    const { session } = await connect(t, cloud());
    const token = await session.token();
    assert.match(token.projectId, /^[0-9a-f]{32}$/);
    assert.ok(token.roles.has('member'));
    assert.ok(token.endsAt > token.renewAt);
  });

  it('works with an application credential', async (t) => {
    const { session, volumes } = await connect(t, cloud(), { role: 'credential' });
    assert.ok((await session.token()).roles.has('member'));
    assert.ok((await volumes.list()).length > 0);
  });

  it('names user, project and Keystone when the password is wrong, but not the password', async (t) => {
    const { authUrl } = configure(cloud()).cloud;
    const wrong = 'correct-horse-battery';
    await assert.rejects(connect(t, cloud(), { change: spoil({ password: wrong }) }), (error) => {
      failure('auth_failed', authUrl, "user 'cinderfs'", "project 'service'", 'req-')(error);
      assert.ok(!JSON.stringify(error).includes(wrong) && !(error as CinderfsError).toLine().includes(wrong));
      return true;
    });
  });

  it('names the project when there is no such project', async (t) => {
    await assert.rejects(
      connect(t, cloud(), { change: spoil({ project: 'no-such-project' }) }),
      failure('auth_failed', "project 'no-such-project'"),
    );
  });

  it('says which address does not answer', async (t) => {
    const change = (config: CloudConfig): CloudConfig => ({ ...config, authUrl: 'http://127.0.0.1:1/v3' });
    await assert.rejects(
      connect(t, cloud(), { change, flags: { 'http-retries': '1' } }),
      failure('auth_unreachable', 'http://127.0.0.1:1', 'ECONNREFUSED'),
    );
  });

  it('says so when auth_url is not Keystone', async (t) => {
    const change = (config: CloudConfig): CloudConfig => ({
      ...config,
      authUrl: `${config.authUrl.replace(/\/v3$/, '')}/no/such/path`,
    });
    await assert.rejects(connect(t, cloud(), { change }), failure('auth_unreachable', '404'));
  });

  it('says which region the catalog lacks', async (t) => {
    // By clouds.yaml it is refused sooner: as openstacksdk does, a region must be one that the file names.
    const change = (config: CloudConfig): CloudConfig => ({
      ...config,
      volume: { ...config.volume, region: 'Atlantis' },
    });
    await assert.rejects(
      connect(t, cloud(), { change }),
      failure('endpoint_missing', 'Atlantis', 'RegionOne'),
    );
  });

  it('replaces a refused token once for all who were refused', async (t) => {
    const { authUrl } = configure(cloud()).cloud;
    const proxy = await startLoginProxy(t, authUrl, 1);
    const { cloud: config } = configure(cloud());
    const openstack = await connect(t, cloud(), { change: () => ({ ...config, authUrl: proxy.authUrl }) });
    // Cinder's version document needs no token in some releases, so the bad one may still be in use here.
    const volume = cloud().images[0]?.volume_id ?? '';
    const shown = await Promise.all(Array.from({ length: 16 }, () => openstack.volumes.show(volume)));
    assert.equal(shown.length, 16);
    assert.equal(proxy.logins, 2);
  });

  it('gives up after one replacement, with the request id', async (t) => {
    const { cloud: config } = configure(cloud());
    const proxy = await startLoginProxy(t, config.authUrl, 100);
    const attempt = async (): Promise<void> => {
      const openstack = await connect(t, cloud(), { change: () => ({ ...config, authUrl: proxy.authUrl }) });
      await openstack.volumes.show(randomUUID());
    };
    await assert.rejects(attempt(), failure('auth_failed', '401', 'req-'));
    assert.equal(proxy.logins, 2);
  });
});

describe('the microversion', () => {
  const cloud = cloudForSuite();

  it('is 3.69 where Cinder has it, and less where that is asked for', async (t) => {
    const { session } = await connect(t, cloud());
    assert.equal((await new VolumeEndpoint(session, '3.69').api()).minor, 69);
    const floor = new VolumeEndpoint(session, '3.54');
    assert.equal((await floor.api()).minor, 54);
    assert.ok((await floor.api()).base.endsWith((await session.token()).projectId));
    const answer = await floor.request({ method: 'GET', path: '/attachments', repeat: 'always' });
    assert.equal(answer.headers['openstack-api-version'], 'volume 3.54');
  });
});
