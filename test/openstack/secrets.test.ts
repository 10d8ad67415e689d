/**
 * Whole mounts on the real OpenStack at log level debug: opens over NFS, RBD and iSCSI with CHAP, refused logins and
 * attaches, both ways to take a mount down. Afterwards every secret that was in play is looked for wherever somebody may look.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { testCloud, type TestCloud } from '../support/cloud.js';
import { eventually } from '../support/eventually.js';
import { cinderfs, Mounted, run } from '../support/program.js';
import { SecretHunt, watchProcesses } from '../support/secret-hunt.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';
import { CloudProxy, type Exchange } from './cloud-proxy.js';
import { Rest } from './rest.js';

describe('secrets', { timeout: 300_000 }, () => {
  it('are in no log, argv, environment, journal, status or attribute', async (t: TestContext) => {
    assert.equal(process.env.CINDERFS_TEST_CLOUD, 'lab', 'npm run test:openstack runs this');
    const undo = new Undo(t);
    const hunt = new SecretHunt();
    const dir = await temporaryFolder(undo);
    const cloud = await testCloud(undo, dir);
    const proxy = await CloudProxy.start(undo, (exchange) => overhear(hunt, exchange));
    const files = await credentialsOf(undo, hunt, proxy);
    await knowCephKey(hunt);

    await byPassword(undo, hunt, cloud, dir, files);
    await byApplicationCredential(undo, hunt, cloud, dir, files);

    for (const [kind, least] of [
      ['password', 2],
      ['application credential', 1],
      ['token', 2],
      ['CHAP', 2],
      ['cephx', 1],
    ] as const)
      assert.ok(hunt.known(kind) >= least, `${kind}: ${hunt.known(kind)} secrets were seen`);
    // What is no secret is seen there, so the secrets would be.
    const attached = cloud.images.find(({ name }) => name === 'demo-iscsi')?.volume_id ?? '';
    for (const where of [/^log/, /^status/, /^state/]) assert.ok(hunt.sees(where, attached), String(where));
    assert.ok(hunt.sees(/^argv/, 'qemu-nbd') && hunt.sees(/^environ/, 'PATH='));
    assert.ok(hunt.sees(/^attributes/, 'user.cinderfs.'));
    assert.deepEqual(hunt.found(), []);
  });
});

/** clouds.yaml of a user of this test alone. */
interface Credentials {
  readonly file: string;
  /** Writes it with that password, or the right one. */
  readonly write: (password?: string) => Promise<void>;
}

async function byPassword(
  undo: Undo,
  hunt: SecretHunt,
  cloud: TestCloud,
  dir: string,
  { file, write }: Credentials,
): Promise<void> {
  const scene = await mount(undo, hunt, path.join(dir, 'password'), { file, cloud: 'password' });
  const { mounted } = scene;
  const opened = await Promise.all(
    ['demo-nfs', 'demo-rbd', 'demo-rbd-multi', 'demo-iscsi'].map((name) =>
      open(mounted.at(idOf(cloud, name))).catch((error: unknown) =>
        assert.fail(`${name}: ${String(error)}\n${mounted.said.join('\n')}`),
      ),
    ),
  );
  for (const each of opened) await each.read(Buffer.alloc(4096), 0, 4096, 0);
  const { status } = await run('cat', [mounted.at(idOf(cloud, 'demo-nfs-qcow2'))]);
  assert.notEqual(status, 0, 'Cinder refuses it');
  const wrong = secret();
  hunt.know('password that Keystone refuses', wrong);
  for (const [password, fails] of [
    [wrong, true],
    [undefined, false],
  ] as const) {
    await write(password);
    mounted.child.kill('SIGHUP');
    await eventually(`logins ${fails ? 'fail' : 'succeed'}`, async () => {
      const { login_failure: failure } = await mounted.status();
      return (failure !== null) === fails ? true : undefined;
    });
    if (fails) await scene.collect();
  }
  for (const each of opened) await each.close();
  assert.equal(await mounted.stop(), 0, mounted.said.slice(-20).join('\n'));
  await scene.end();
}

async function byApplicationCredential(
  undo: Undo,
  hunt: SecretHunt,
  cloud: TestCloud,
  dir: string,
  { file }: Credentials,
): Promise<void> {
  const scene = await mount(undo, hunt, path.join(dir, 'appcred'), { file, cloud: 'appcred' });
  const { mounted } = scene;
  const image = await open(mounted.at(idOf(cloud, 'demo-iscsi-multi')));
  await image.read(Buffer.alloc(4096), 0, 4096, 0);
  const refused = await cinderfs(['umount', mounted.mountpoint], mounted.env);
  hunt.collect('umount', `${refused.stdout}${refused.stderr}`);
  assert.notEqual(refused.status, 0, 'a file is open');
  await scene.collect();
  await image.close();
  const ended = await cinderfs(['umount', mounted.mountpoint], mounted.env);
  assert.equal(ended.status, 0, ended.stderr);
  hunt.collect('umount', `${ended.stdout}${ended.stderr}`);
  await scene.end();
}

interface MountScene {
  readonly mounted: Mounted;
  /** What a look at the mount shows now. */
  readonly collect: () => Promise<void>;
  /** The mount is gone: what it left. */
  readonly end: () => Promise<void>;
}

async function mount(
  undo: Undo,
  hunt: SecretHunt,
  dir: string,
  { file, cloud }: { readonly file: string; readonly cloud: string },
): Promise<MountScene> {
  await mkdir(dir, { recursive: true });
  const env = {
    OS_CLIENT_CONFIG_FILE: file,
    OS_CLOUD: cloud,
    CINDERFS_LOG_LEVEL: 'debug',
  };
  const stop = new AbortController();
  const mounted = await Mounted.start({ dir, env, args: ['--log-level=debug'], test: undo });
  const watched = watchProcesses(hunt, mounted.child.pid ?? 0, stop.signal);
  undo.after(async () => {
    stop.abort();
    await watched;
  });
  const files = async (): Promise<void> => {
    await hunt.collectFiles('state', path.join(dir, 'state'));
    await hunt.collectFiles('run', path.join(dir, 'run'));
    hunt.collect('log', mounted.said.join('\n'));
  };
  const collect = async (): Promise<void> => {
    await files();
    const { mountpoint } = mounted;
    for (const args of [
      ['status', mountpoint],
      ['status', mountpoint, '-f', 'json'],
      ['attachments', mountpoint],
    ]) {
      const { stdout, stderr } = await cinderfs(args, mounted.env);
      hunt.collect(`status: ${args.join(' ')}`, stdout + stderr);
    }
    hunt.collect('status: file', await readFile(mounted.at('.cinderfs', 'status'), 'utf8'));
    const { stdout } = await run('getfattr', ['-R', '-d', '-m', '-', mounted.mountpoint]);
    hunt.collect('attributes', stdout);
  };
  const end = async (): Promise<void> => {
    stop.abort();
    await watched;
    await files();
  };
  return { mounted, collect, end };
}

/** A user with a random password, and its application credential; both are gone when the test is over. */
async function credentialsOf(undo: Undo, hunt: SecretHunt, proxy: CloudProxy): Promise<Credentials> {
  const admin = await Rest.login('admin', 'admin');
  const [name, password] = [`test-${randomBytes(6).toString('hex')}`, secret()];
  hunt.know('password', password);
  const { body } = await admin.keystone('POST', '/users', {
    body: { user: { name, password, domain_id: 'default' } },
  });
  const { id } = body.user as { id: string };
  undo.after(() => admin.keystone('DELETE', `/users/${id}`));
  const project = (await Rest.login('glance', 'service')).project;
  for (const role of ['member', 'service']) {
    const { body: found } = await admin.keystone('GET', `/roles?name=${role}`);
    const [{ id: roleId } = { id: '' }] = found.roles as { id: string }[];
    await admin.keystone('PUT', `/projects/${project}/users/${id}/roles/${roleId}`);
  }
  const own = await Rest.login(name, 'service', password);
  const credential = secret();
  hunt.know('application credential', credential);
  const { body: made } = await own.keystone('POST', `/users/${id}/application_credentials`, {
    body: { application_credential: { name: 'test', secret: credential } },
  });
  const { id: credentialId } = made.application_credential as { id: string };
  const file = path.join(await temporaryFolder(undo), 'clouds.yaml');
  const shared = { region_name: 'RegionOne' };
  const write = (now = password): Promise<void> =>
    writeFile(
      file,
      JSON.stringify({
        clouds: {
          password: {
            ...shared,
            auth: {
              auth_url: proxy.authUrl,
              username: name,
              password: now,
              project_name: 'service',
              user_domain_name: 'Default',
              project_domain_name: 'Default',
            },
          },
          appcred: {
            ...shared,
            auth_type: 'v3applicationcredential',
            auth: {
              auth_url: proxy.authUrl,
              application_credential_id: credentialId,
              application_credential_secret: credential,
            },
          },
        },
      }),
      { mode: 0o600 },
    );
  await write();
  return { file, write };
}

/** Every token and every CHAP secret that comes by. */
function overhear(hunt: SecretHunt, { token, issued, body }: Exchange): void {
  for (const each of [token, issued]) if (each !== undefined) hunt.know(`token ${each.length}`, each);
  for (const [, value = ''] of body.matchAll(/"auth_password": *"([^"]+)"/g)) hunt.know('CHAP secret', value);
}

async function knowCephKey(hunt: SecretHunt): Promise<void> {
  const keyring = await readFile('/etc/ceph/ceph.client.cinder.keyring', 'utf8');
  hunt.know('cephx key', /key = (\S+)/.exec(keyring)?.[1] ?? '');
}

/** Letters that JSON, shells, URLs and YAML write in a form of their own. */
const secret = (): string => `s3"cret\\${randomBytes(12).toString('base64url')} %&'é`;

function idOf(cloud: TestCloud, name: string): string {
  return cloud.images.find((image) => image.name === name)?.id ?? assert.fail(`the lab has ${name}`);
}
