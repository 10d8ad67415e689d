import assert from 'node:assert/strict';
import { chmod, chown, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { loadConfig } from '../../src/config/load.js';
import { readTrusted, Untrusted } from '../../src/config/trusted-file.js';
import { temporaryFolder } from '../support/temporary.js';
import { AUTH, clouds, failure, from, world, type World } from './cloud-world.js';

const NOBODY = 65534;
const skip = process.getuid?.() === 0 ? false : 'only root can make files of others';

/** Whatever root is meant to read, and what a local user would rather have it read. */
async function rootsWorld(t: TestContext, files: Record<string, string | object>): Promise<World> {
  return world(t, files, 0);
}

async function give(path: string, mode: number): Promise<void> {
  await chown(path, NOBODY, NOBODY);
  await chmod(path, mode);
}

describe('root', { skip }, () => {
  it("does not send its password to a clouds.yaml of the directory it stands in (nobody's, mode 0777)", async (t) => {
    const { load, root } = await rootsWorld(t, {
      'cwd/clouds.yaml': from('evil.test'),
      'site/openstack/clouds.yaml': from('ours'),
      'site/openstack/secure.yaml': clouds({ c: { auth: { password: 'REAL-PROD-PASSWORD' } } }),
    });
    await give(join(root, 'cwd/clouds.yaml'), 0o666);
    await give(join(root, 'cwd'), 0o777);
    assert.equal(load().authUrl, 'http://ours/v3');
    // Nor to one of its own there: whoever owns the directory replaces it.
    await writeFile(join(root, 'cwd/clouds.yaml'), JSON.stringify(from('evil.test')));
    assert.equal(load().authUrl, 'http://ours/v3');
  });

  it('passes by files in the usual places that others can write, and says which and why', async (t) => {
    const spoil: Record<string, (at: (name: string) => string) => Promise<void>> = {
      'belongs to user 65534': (at) => chown(at('home/.config/openstack/clouds.yaml'), NOBODY, 0),
      'mode 0622': (at) => chmod(at('home/.config/openstack/clouds.yaml'), 0o622),
      'mode 0660': (at) => chmod(at('home/.config/openstack/clouds.yaml'), 0o660),
      'home/.config can be written by others than root (mode 0777)': (at) => chmod(at('home/.config'), 0o777),
      'home belongs to user 65534': (at) => chown(at('home'), NOBODY, 0),
    };
    for (const [reason, change] of Object.entries(spoil)) {
      const { load, root } = await rootsWorld(t, {
        'home/.config/openstack/clouds.yaml': from('evil.test'),
        'site/openstack/clouds.yaml': from('ours'),
      });
      await change((name) => join(root, name));
      const { authUrl, warnings } = load();
      assert.equal(authUrl, 'http://ours/v3', reason);
      assert.ok(
        warnings.some((warning) => warning.startsWith('skipped ') && warning.includes(reason)),
        `${reason}: ${warnings.join()}`,
      );
    }
  });

  it('refuses what others can write where it was named, by flag or variable', async (t) => {
    const { load, root } = await rootsWorld(t, {
      'mine.yaml': from('evil.test'),
      'secret.yaml': {},
      'site/openstack/clouds.yaml': from('ours'),
    });
    await give(join(root, 'mine.yaml'), 0o600);
    await give(join(root, 'secret.yaml'), 0o600);
    const named = failure(
      'config_invalid',
      /root does not read .*mine\.yaml: .*mine\.yaml belongs to user 65534/,
    );
    assert.throws(() => load({ OS_CLIENT_CONFIG_FILE: join(root, 'mine.yaml') }), named);
    assert.throws(() => load({}, { 'os-client-config-file': 'mine.yaml' }), named);
    assert.throws(
      () => load({ OS_CLIENT_SECURE_FILE: join(root, 'secret.yaml') }),
      failure('config_invalid', /secret\.yaml/),
    );
    const config = join(root, 'cinderfs.conf');
    await writeFile(config, 'linger = 1\n');
    const flags = { 'config-file': config };
    assert.equal(loadConfig({ flags, env: {}, uid: 0 }).config.linger, 1);
    await chmod(config, 0o646);
    assert.throws(
      () => loadConfig({ flags, env: {}, uid: 0 }),
      failure('config_invalid', /cinderfs\.conf.* \(mode 0646\)/),
    );
  });

  it('follows symbolic links only where root alone could have placed them', async (t) => {
    const root = await temporaryFolder(t);
    await writeFile(join(root, 'real'), 'x', { mode: 0o600 });
    await symlink('real', join(root, 'own'));
    assert.equal(readTrusted(join(root, 'own'), 0), 'x');
    const others = join(root, 'others');
    await mkdir(others);
    await symlink(join(root, 'real'), join(others, 'link'));
    await give(others, 0o755);
    assert.throws(() => readTrusted(join(others, 'link'), 0), Untrusted);
    await symlink('others/link', join(root, 'through'));
    assert.throws(
      () => readTrusted(join(root, 'through'), 0),
      Untrusted,
      'a way that leads through a foreign directory',
    );
    await symlink('loop', join(root, 'loop'));
    assert.throws(() => readTrusted(join(root, 'loop'), 0), /too many symbolic links/);
    // In a sticky directory, as /tmp is, nobody can replace what is root's.
    const sticky = join(root, 'sticky');
    await mkdir(sticky);
    await chmod(sticky, 0o1777);
    await writeFile(join(sticky, 'file'), 'y', { mode: 0o600 });
    assert.equal(readTrusted(join(sticky, 'file'), 0), 'y');
  });

  it('trusts no certificate that others can write', async (t) => {
    const { load, root } = await rootsWorld(t, {
      'ca.pem': 'x',
      'site/openstack/clouds.yaml': clouds({ c: { auth: AUTH } }),
    });
    const path = join(root, 'ca.pem');
    const env = { REQUESTS_CA_BUNDLE: path };
    await writeFile(join(root, 'site/openstack/clouds.yaml'), JSON.stringify(clouds({ c: { auth: AUTH } })));
    assert.equal(load(env).tls.cacert, path);
    await give(path, 0o644);
    assert.throws(() => load(env), failure('config_invalid', /root does not read .*ca\.pem/));
  });
});
