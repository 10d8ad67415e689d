/**
 * The cloud that the contract suite runs against: the embedded one, or with CINDERFS_TEST_CLOUD=lab the real one that
 * CINDERFS_LAB (its lab.json) describes. The tests do not know which: that is what keeps the double honest.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext } from 'node:test';
import { connectOpenstack, type Openstack } from '../../src/cinder/openstack.js';
import { loadCloud } from '../../src/config/cloud.js';
import type { CloudConfig } from '../../src/config/cloud-config.js';
import { loadConfig } from '../../src/config/load.js';
import { startDevcloud } from '../../devcloud/devcloud.js';
import { APPLICATION_CREDENTIAL } from '../../devcloud/identity.js';
import { silentLog } from '../../src/log.js';

/** `operator` runs cinderfs in the project of the image volumes; `outsider` has no role there. */
export type Role = 'operator' | 'credential' | 'reader' | 'admin' | 'outsider';

export interface KnownImage {
  readonly name: string;
  readonly id: string;
  readonly size: number;
  readonly volume_id: string;
  readonly location: string;
  readonly multiattach: boolean;
  readonly attachable: boolean;
  readonly disk_format: string;
  readonly backend: string;
}

export interface CloudUnderTest {
  /** Images that are there; others may be, too. */
  readonly images: readonly KnownImage[];
  /** The variables with which `role` reaches the cloud. */
  env(role: Role): Record<string, string>;
  /** Makes Cinder refuse to export the image that is not attachable, where it does not do so by itself. */
  refuseExports(): void;
}

/** To be called in a describe(): the cloud is there while the suite runs. */
export function cloudForSuite(): () => CloudUnderTest {
  const undo: (() => Promise<unknown>)[] = [];
  let cloud: CloudUnderTest | undefined;
  before(async () => {
    cloud = process.env.CINDERFS_TEST_CLOUD === 'lab' ? await labCloud() : await embeddedCloud(undo);
  });
  after(async () => {
    for (const step of undo.reverse()) await step();
  });
  return () => {
    if (cloud === undefined) throw new Error('the cloud is there inside of tests only');
    return cloud;
  };
}

/** `role`'s configuration for that cloud; `flags` as on the command line. */
export function configure(
  cloud: CloudUnderTest,
  role: Role = 'operator',
  flags: Record<string, string> = {},
): { cloud: CloudConfig; config: ReturnType<typeof loadConfig>['config'] } {
  const env = cloud.env(role);
  const loaded = loadConfig({ flags: { 'config-file': '/dev/null', ...flags }, env });
  return { cloud: loadCloud({ loaded, env, directory: '/nowhere' }), config: loaded.config };
}

/** Connected until the test ends. `change` may spoil the cloud's configuration first. */
export async function connect(
  t: Pick<TestContext, 'after'>,
  under: CloudUnderTest,
  options: {
    role?: Role;
    flags?: Record<string, string>;
    change?: (cloud: CloudConfig) => CloudConfig;
  } = {},
): Promise<Openstack> {
  const { cloud, config } = configure(under, options.role, options.flags);
  const openstack = await connectOpenstack({
    cloud: options.change?.(cloud) ?? cloud,
    config,
    log: silentLog,
  });
  undoAfter(t, () => openstack.close());
  return openstack;
}

const undoSteps = new WeakMap<object, (() => Promise<unknown>)[]>();

/** Undoes something when the test ends, the last one first: t.after() alone would close a connection before its use. */
export function undoAfter(t: Pick<TestContext, 'after'>, step: () => Promise<unknown>): void {
  const steps = undoSteps.get(t);
  if (steps !== undefined) {
    steps.push(step);
    return;
  }
  const own = [step];
  undoSteps.set(t, own);
  t.after(async () => {
    for (const undo of own.reverse()) await undo();
  });
}

interface Lab {
  readonly clouds_yaml: string;
  readonly cloud: string;
  readonly clouds: Readonly<Record<string, string>>;
  readonly images: readonly KnownImage[];
}

async function labCloud(): Promise<CloudUnderTest> {
  const path = process.env.CINDERFS_LAB;
  if (path === undefined) throw new Error('CINDERFS_LAB must name the lab.json of the running lab');
  const lab = JSON.parse(await readFile(path, 'utf8')) as Lab;
  const names: Record<Role, string | undefined> = {
    operator: lab.cloud,
    credential: lab.clouds.appcred,
    reader: lab.clouds.reader,
    admin: lab.clouds.admin,
    outsider: lab.clouds.demo,
  };
  return {
    images: lab.images,
    env: (role) => ({ OS_CLIENT_CONFIG_FILE: lab.clouds_yaml, OS_CLOUD: names[role] ?? role }),
    refuseExports: () => undefined,
  };
}

async function embeddedCloud(undo: (() => Promise<unknown>)[]): Promise<CloudUnderTest> {
  const dir = await mkdtemp(join(tmpdir(), 'contract-'));
  undo.push(() => rm(dir, { recursive: true, force: true }));
  const devcloud = await startDevcloud({ dir });
  undo.push(() => devcloud.close());
  const specs = [
    { name: 'one', multiattach: false },
    { name: 'shared', multiattach: true },
    { name: 'refused', multiattach: false, diskFormat: 'qcow2' },
    { name: 'bare', multiattach: false, location: 'bare' },
    { name: 'by-cinder', multiattach: false, uploadedBy: 'cinder' },
  ] as const;
  const images: KnownImage[] = [];
  for (const spec of specs) {
    const image = await devcloud.addImage({ ...spec, size: 1_000_003 });
    images.push({
      name: image.name ?? '',
      id: image.id,
      size: image.size ?? 0,
      volume_id: image.volumeId ?? '',
      location: image.locations[0]?.url ?? '',
      multiattach: spec.multiattach,
      attachable: spec.name !== 'refused',
      disk_format: image.diskFormat ?? '',
      backend: 'local',
    });
  }
  return {
    images,
    env: (role) => (role === 'credential' ? credentialEnv(devcloud.env) : devcloud.envFor(USER_OF[role])),
    refuseExports: () =>
      void devcloud.faults.add({ kind: 'attach-refused', path: '/attachments/*', method: 'PUT' }),
  };
}

const USER_OF = { operator: 'cinderfs', reader: 'reader', admin: 'admin', outsider: 'demo' } as const;

function credentialEnv(env: Readonly<Record<string, string>>): Record<string, string> {
  return {
    OS_AUTH_URL: env.OS_AUTH_URL ?? '',
    OS_AUTH_TYPE: 'v3applicationcredential',
    OS_APPLICATION_CREDENTIAL_ID: APPLICATION_CREDENTIAL.id,
    OS_APPLICATION_CREDENTIAL_SECRET: APPLICATION_CREDENTIAL.secret,
  };
}
