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

  it('ends everything when it is broken, without being quoted', async (t) => {
    const broken = 'clouds:\n  c: {auth: {password: hunter2\n  x';
    const { load } = await world(t, {
      'cwd/clouds.yaml': broken,
      'home/.config/openstack/clouds.yaml': from('home'),
    });
    assert.throws(
      () => load({ OS_CLOUD: 'c' }),
      (error) => {
        failure('config_invalid', /cwd\/clouds\.yaml cannot be understood: line 3/)(error);
        return !(error as Error).message.includes('hunter2');
      },
    );
  });

  it('is read as PyYAML reads it, but for scalars, which stay the text they are', async (t) => {
    const { load } = await world(t, {
      'cwd/clouds.yaml': [
        'base: &base {region_name: R, image_interface: internal}',
        'login: &login {auth_url: "http://k/v3", username: 0123, password: 1e3}',
        'clouds:',
        '  one:',
        '    <<: [*base, {region_name: other}]',
        '    verify: off',
        '    auth: {<<: *login, project_id: 12345678901234567890, password: 3.10, password: +49123}',
      ].join('\n'),
    });
    const { auth, image, tls } = load();
    assert.ok(auth.method === 'password' && 'name' in auth.user);
    assert.deepEqual([auth.user.name, auth.password.reveal()], ['0123', '+49123'], 'the last of two keys');
    assert.deepEqual(auth.project, { id: '12345678901234567890' });
    assert.deepEqual([image.region, image.interfaces, tls.verify], ['R', ['internal'], false]);
  });

  it('may not be a bomb, nor have tags that make something of it', async (t) => {
    const aliases = Array.from({ length: 20 }, (_, n) => `a${n + 1}: &a${n + 1} [*a${n}, *a${n}, *a${n}]`);
    const bomb = ['a0: &a0 x', ...aliases].join('\n');
    for (const text of [
      bomb,
      'clouds: !!python/object/apply:os.system ["true"]',
      'clouds: {}\n---\nclouds: {}',
    ]) {
      const { load } = await world(t, { 'cwd/clouds.yaml': text });
      assert.throws(() => load(), failure('config_invalid', /cannot be understood/));
    }
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

  it('brings a warning when every user can read secrets there, and only then', async (t) => {
    const { password, ...rest } = AUTH;
    const { load, root } = await world(t, {
      'cwd/clouds.yaml': clouds({ c: { auth: rest } }),
      'cwd/secure.yaml': clouds({ c: { auth: { password } } }),
    });
    const seen = (): string =>
      load()
        .warnings.filter((warning) => warning.includes('read by every'))
        .join();
    assert.equal(seen(), '');
    await chmod(join(root, 'cwd/clouds.yaml'), 0o644);
    assert.equal(seen(), '');
    await chmod(join(root, 'cwd/secure.yaml'), 0o644);
    assert.match(seen(), /secure\.yaml can be read by every user of this host, and holds secrets/);
    const alone = await world(t, { 'cwd/clouds.yaml': clouds({ c: cloud() }) });
    await chmod(join(alone.root, 'cwd/clouds.yaml'), 0o644);
    assert.match(alone.load().warnings.join(), /clouds\.yaml can be read by every user/);
  });

  it('brings a warning when the password would leave this host over plain http', async (t) => {
    const warned = async (auth_url: string): Promise<boolean> => {
      const { load } = await world(t, { 'cwd/clouds.yaml': clouds({ c: { auth: { ...AUTH, auth_url } } }) });
      return load().warnings.some((warning) => warning.includes('plain http'));
    };
    for (const url of ['http://keystone:5000/v3', 'http://10.0.0.1', 'http://127.0.0.1.evil.test'])
      assert.equal(await warned(url), true, url);
    for (const url of [
      'https://keystone',
      'http://127.0.0.1:5000',
      'http://localhost/v3',
      'http://[::1]:5000',
    ])
      assert.equal(await warned(url), false, url);
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
