import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import type { CloudConfig } from '../../src/config/cloud-config.js';
import { CinderfsError } from '../../src/errors.js';
import { assertProperty } from '../support/seeds.js';
import { AUTH, cloud, clouds, failure, world } from './cloud-world.js';

describe('the settings of a cloud', () => {
  const loadOne = async (
    t: TestContext,
    settings: object,
    flags: Record<string, string> = {},
  ): Promise<CloudConfig> => (await world(t, { 'cwd/clouds.yaml': clouds({ c: settings }) })).load({}, flags);

  it('know older names, names with dashes, and values outside of auth', async (t) => {
    const { auth } = await loadOne(t, {
      auth: { 'auth-url': 'http://k/v3', username: 'u', password: 'pw', 'tenant-name': 'inside' },
      project_name: 'outside',
      domain_name: 'common',
      'user-domain-id': 'ud',
    });
    assert.ok(auth.method === 'password');
    assert.deepEqual(auth.project, { name: 'outside', domain: { name: 'common' } });
    assert.deepEqual(auth.user, { name: 'u', domain: { id: 'ud' } });
  });

  it('make an application credential, by id or by name', async (t) => {
    const secret = { application_credential_secret: 's', auth_url: 'http://k' };
    const byId = await loadOne(t, {
      auth_type: 'v3applicationcredential',
      auth: { ...secret, application_credential_id: 'i' },
    });
    assert.ok(byId.auth.method === 'application_credential');
    assert.deepEqual(byId.auth.credential, { id: 'i' });
    const byName = await loadOne(t, { auth: { ...secret, application_credential_name: 'n', user_id: 'u' } });
    assert.ok(byName.auth.method === 'application_credential');
    assert.deepEqual(byName.auth.credential, { name: 'n', user: { id: 'u' } });
  });

  it('name endpoint, region and interface for each service, under any of its names', async (t) => {
    for (const key of ['block_storage', 'volumev3', 'volumev2', 'volume']) {
      const found = await loadOne(t, {
        ...cloud(),
        region_name: 'R',
        interface: 'internalURL',
        [`${key}_endpoint_override`]: 'http://cinder',
        [`${key}_region_name`]: 'RV',
        [`${key.replace('_', '-')}-interface`]: ['admin', 'public'],
      });
      assert.deepEqual(found.volume, {
        serviceType: 'block-storage',
        endpointOverride: 'http://cinder',
        region: 'RV',
        interfaces: ['admin', 'public'],
        serviceName: undefined,
      });
      assert.deepEqual([found.image.region, found.image.interfaces], ['R', ['internal']]);
    }
    const older = await loadOne(t, cloud({ endpoint_type: 'admin', volume_endpoint_type: 'publicURL' }));
    assert.deepEqual([older.image.interfaces, older.volume.interfaces], [['admin'], ['public']]);
    await assert.rejects(
      loadOne(t, cloud({ interface: 'outer' })),
      failure('config_invalid', /'outer' must be public/),
    );
  });

  it('take the values of the region, and only a region that is listed', async (t) => {
    const settings = cloud({
      regions: ['A', { name: 'B', values: { image_endpoint_override: 'http://b' } }],
      image_endpoint_override: 'http://a',
    });
    assert.deepEqual((await loadOne(t, settings)).image.region, 'A');
    const b = await loadOne(t, settings, { 'os-region-name': 'B' });
    assert.deepEqual([b.image.region, b.image.endpointOverride], ['B', 'http://b']);
    await assert.rejects(
      loadOne(t, settings, { 'os-region-name': 'C' }),
      failure('config_invalid', /no region 'C'; it has A, B/),
    );
  });

  it('do without verification only when told, and then say so', async (t) => {
    const cases: [object, boolean][] = [
      [{}, true],
      [{ verify: true, cacert: '/x' }, true],
      [{ verify: false, cacert: '/x' }, false],
      [{ verify: 'False' }, false],
      [{ insecure: true, verify: true }, false],
      [{ insecure: 'false' }, true],
    ];
    for (const [settings, verify] of cases) {
      const { tls, warnings } = await loadOne(t, cloud(settings));
      assert.equal(tls.verify, verify, JSON.stringify(settings));
      assert.equal(warnings.join().includes('does not verify'), !verify);
    }
  });

  it('are filled into {placeholders}, but never into or from a password', async (t) => {
    const { authUrl, auth } = await loadOne(t, {
      region_name: 'r1',
      auth: {
        ...AUTH,
        auth_url: 'http://{region_name}.k/v3',
        password: '{region_name}',
        username: '{nothing}',
      },
    });
    await assert.rejects(
      loadOne(t, { auth: { ...AUTH, auth_url: 'http://{nothing}.k/v3' } }),
      failure('config_invalid', /auth_url has \{nothing\}, which is not the name of a setting/),
    );
    assert.equal(authUrl, 'http://r1.k/v3');
    assert.ok(auth.method === 'password' && auth.password.reveal() === '{region_name}');
    assert.deepEqual(auth.user, { name: '{nothing}', domain: { id: 'default' } });
  });

  it('build on a vendor profile of clouds-public.yaml, and fetch none', async (t) => {
    const { load } = await world(t, {
      'cwd/clouds.yaml': clouds({
        c: { profile: 'vendor', auth: { username: 'u', password: 'pw', project_name: 'p' } },
      }),
      'site/openstack/clouds-public.yaml': {
        'public-clouds': { vendor: { auth: { auth_url: 'http://vendor/v3' }, region_name: 'V' } },
      },
    });
    assert.deepEqual([load().authUrl, load().image.region], ['http://vendor/v3', 'V']);
    const url = await loadOne(t, cloud({ profile: 'https://vendor.test' }));
    assert.match(url.warnings.join(), /vendor profile 'https:\/\/vendor\.test' is not in any/);
  });

  it('that lack something say what, and in which cloud', async (t) => {
    const lacking: [Record<string, unknown>, RegExp][] = [
      [{ auth_url: undefined }, /cloud 'c' \(.*clouds\.yaml\): auth_url is missing/],
      [{ auth_url: 'keystone:5000' }, /auth_url 'keystone:5000' is not an http or https URL/],
      [{ username: undefined }, /username or user_id is missing/],
      [{ password: undefined }, /password is missing/],
      [{ project_name: undefined }, /project_name or project_id is missing/],
    ];
    for (const [changes, message] of lacking) {
      await assert.rejects(loadOne(t, { auth: { ...AUTH, ...changes } }), failure('config_invalid', message));
    }
    await assert.rejects(
      loadOne(t, cloud({ auth_type: 'v3oidcpassword' })),
      failure('config_invalid', /auth_type 'v3oidcpassword' is not supported/),
    );
  });

  it('never show a secret, however they are printed, and are frozen', async (t) => {
    const found = await loadOne(t, cloud({ auth: { ...AUTH, password: 'hunter2' } }));
    assert.ok(!inspect(found, { depth: 9, showHidden: true }).includes('hunter2'));
    assert.ok(!JSON.stringify(found).includes('hunter2'));
    assert.ok(Object.isFrozen(found) && Object.isFrozen(found.auth) && Object.isFrozen(found.image));
  });

  it('are a cloud or a clear error, whatever stands in the file', async (t) => {
    const { load, root } = await world(t, { 'cwd/clouds.yaml': '' });
    const key = fc.constantFrom(
      'auth',
      'regions',
      'region_name',
      'interface',
      'verify',
      'auth_type',
      'profile',
      'cacert',
    );
    const settings = fc.dictionary(key, fc.jsonValue()).map((junk) => ({ ...cloud(), ...junk }));
    const content = fc.oneof(
      fc.jsonValue(),
      fc.record({ clouds: fc.oneof(fc.jsonValue(), fc.record({ c: settings })) }),
    );
    await assertProperty(
      fc.asyncProperty(content, async (value) => {
        await writeFile(join(root, 'cwd/clouds.yaml'), JSON.stringify(value));
        try {
          assert.ok(load({ OS_CLOUD: 'c' }).authUrl.startsWith('http'));
        } catch (error) {
          assert.ok(
            CinderfsError.is(error) && /^(config_invalid|cloud_missing)$/.test(error.code),
            String(error),
          );
        }
      }),
      { numRuns: 300 },
    );
  });
});
