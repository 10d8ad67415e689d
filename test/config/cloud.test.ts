import assert from 'node:assert/strict';
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { AUTH, cloud, clouds, failure, from, world } from './cloud-world.js';

describe('clouds.yaml', () => {
  const PLACES = ['cwd', 'xdg/openstack', 'home/.config/openstack', 'site/openstack'];

  it('is searched for where openstacksdk does, the first one wins', async (t) => {
    for (const [index, place] of PLACES.entries()) {
      const files = PLACES.slice(index).map(
        (dir) => [`${dir}/clouds.yaml`, from(dir.replaceAll('/', '.'))] as const,
      );
      const { load, root } = await world(t, Object.fromEntries(files));
      const found = load({ XDG_CONFIG_HOME: join(root, 'xdg') });
      assert.equal(found.authUrl, `http://${place.replaceAll('/', '.')}/v3`);
      assert.equal(found.source, join(root, place, 'clouds.yaml'));
    }
  });

  it('may be yaml, yml or json, in that order', async (t) => {
    const names = ['clouds.yaml', 'clouds.yml', 'clouds.json'];
    for (const [index, name] of names.entries()) {
      const files = names.slice(index).map((file) => [`cwd/${file}`, from(file)] as const);
      assert.equal((await world(t, Object.fromEntries(files))).load().authUrl, `http://${name}/v3`);
    }
  });

  it('is looked for in OS_CLIENT_CONFIG_FILE first, and in the real home of a snap', async (t) => {
    const { load, root } = await world(t, {
      'cwd/clouds.yaml': from('cwd'),
      'mine.yaml': from('mine'),
      'real/.config/openstack/clouds.yaml': from('real'),
    });
    assert.equal(load({ OS_CLIENT_CONFIG_FILE: join(root, 'mine.yaml') }).authUrl, 'http://mine/v3');
    assert.equal(load({}, { 'os-client-config-file': 'mine.yaml' }).authUrl, 'http://mine/v3');
    assert.equal(load({ OS_CLIENT_CONFIG_FILE: join(root, 'none.yaml') }).authUrl, 'http://cwd/v3');
    const snap = await world(t, { 'real/.config/openstack/clouds.yaml': from('real') });
    assert.equal(snap.load({ SNAP_REAL_HOME: join(snap.root, 'real') }).authUrl, 'http://real/v3');
  });

  it('is passed over when it is broken, and the errors say so without quoting it', async (t) => {
    const broken = 'clouds:\n  c: {auth: {password: hunter2\n  x';
    const { load } = await world(t, {
      'cwd/clouds.yaml': broken,
      'home/.config/openstack/clouds.yaml': from('home'),
    });
    const found = load();
    assert.equal(found.authUrl, 'http://home/v3');
    assert.match(found.warnings.join(), /skipped .*cwd\/clouds\.yaml/);
    const alone = await world(t, { 'cwd/clouds.yaml': broken });
    assert.throws(
      () => alone.load({ OS_CLOUD: 'c' }),
      (error) => {
        failure('cloud_missing', /skipped .*cwd\/clouds\.yaml/)(error);
        return !(error as Error).message.includes('hunter2');
      },
    );
  });

  it('has secure.yaml merged over it, wherever that is', async (t) => {
    const { load } = await world(t, {
      'cwd/clouds.yaml': clouds({ c: { auth: { ...AUTH, password: 'old' } } }),
      'site/openstack/secure.yaml': clouds({ c: { auth: { password: 'new' } } }),
    });
    const { auth } = load();
    assert.equal(auth.method === 'password' && auth.password.reveal(), 'new');
    assert.equal(auth.method === 'password' && 'name' in auth.user && auth.user.name, 'u');
  });

  it('brings a warning when everybody can read secure.yaml', async (t) => {
    const { load, root } = await world(t, {
      'cwd/clouds.yaml': clouds({ c: cloud() }),
      'cwd/secure.yaml': {},
    });
    assert.deepEqual(load().warnings, []);
    await chmod(join(root, 'cwd/secure.yaml'), 0o644);
    assert.match(load().warnings.join(), /secure\.yaml can be read by everybody/);
  });
});

describe('the cloud', () => {
  const two = { 'cwd/clouds.yaml': clouds({ one: cloud(), two: cloud({ region_name: 'R2' }) }) };
  const env = { OS_AUTH_URL: 'http://env/v3', OS_USERNAME: 'e', OS_PASSWORD: 'x', OS_PROJECT_NAME: 'q' };

  it('is the one of --os-cloud, else OS_CLOUD, else the variables, else the only one', async (t) => {
    const { load } = await world(t, two);
    assert.equal(load({ OS_CLOUD: 'one' }, { 'os-cloud': 'two' }).name, 'two');
    assert.equal(load({ ...env, OS_CLOUD: 'one' }).authUrl, 'http://k/v3');
    assert.equal(load(env).name, 'envvars');
    assert.equal(load({ ...env, OS_CLOUD: 'envvars' }).authUrl, 'http://env/v3');
    assert.equal(load({ ...env, OS_CLOUD_NAME: 'mine' }).name, 'mine');
    const single = await world(t, { 'cwd/clouds.yaml': clouds({ only: cloud() }) });
    assert.equal(single.load({ OS_REGION_NAME: 'R' }).name, 'only', 'a region alone makes no cloud');
    assert.equal(single.load({ OS_TEST_X: '1', OS_STDOUT_CAPTURE: '1', OS_LOG_LEVEL: '1' }).name, 'only');
  });

  it('is missed with the names there are, the one that was meant and the places searched', async (t) => {
    const { load } = await world(t, two);
    assert.throws(() => load(), failure('cloud_missing', /no cloud is chosen; .*clouds\.yaml has one, two/));
    assert.throws(
      () => load({ OS_CLOUD: 'twoo' }),
      failure('cloud_missing', /cloud 'twoo' \(from OS_CLOUD\) is not defined.* did you mean 'two'\?/),
    );
    const nothing = await world(t);
    assert.throws(
      () => nothing.load(),
      failure(
        'cloud_missing',
        /looked for .*cwd\/clouds\.yaml, .*home.*, .*site.*, \/etc\/openstack\/clouds\.yaml/,
      ),
    );
  });

  it('may not have the name of the one the variables make up', async (t) => {
    const { load } = await world(t, { 'cwd/clouds.yaml': clouds({ envvars: cloud() }) });
    assert.throws(() => load(), failure('config_invalid', /'envvars'.*rename/));
  });

  it('yields to flags, where a name and an id exclude each other', async (t) => {
    const { load } = await world(t, {
      'cwd/clouds.yaml': clouds({ c: { auth: { ...AUTH, project_id: 'old-id', user_id: 'uid' } } }),
    });
    const { auth, authUrl, tls } = load(
      {},
      { 'os-auth-url': 'https://flag:5000', 'os-project-name': 'new', 'os-cacert': '/ca.pem' },
    );
    assert.equal(authUrl, 'https://flag:5000');
    assert.equal(tls.cacert, '/ca.pem');
    assert.ok(auth.method === 'password');
    assert.deepEqual(auth.project, { name: 'new', domain: { id: 'default' } });
    assert.deepEqual(auth.user, { id: 'uid' });
  });

  it('can be made of flags and one secret variable', async (t) => {
    const { load } = await world(t);
    const flags = { 'os-auth-url': 'http://k', 'os-username': 'u', 'os-project-name': 'p' };
    const { auth } = load({ OS_PASSWORD: 'pw' }, flags);
    assert.ok(auth.method === 'password' && auth.password.reveal() === 'pw');
  });
});
