import type { TestContext } from 'node:test';
import { Http } from '../../src/cinder/http/http.js';
import { Session } from '../../src/cinder/keystone/session.js';
import type { CloudConfig, ServiceConfig } from '../../src/config/cloud-config.js';
import { NO_PROXIES } from '../../src/config/proxies.js';
import { CinderfsError } from '../../src/errors.js';
import { silentLog, type Log } from '../../src/log.js';
import { Secret } from '../../src/secret.js';
import { fakeService, type FakeAnswer, type FakeService, type Reply } from './fake-service.js';
import { ManualClock } from '../fakes/manual-clock.js';

const SERVICE: ServiceConfig = {
  serviceType: 'block-storage',
  endpointOverride: undefined,
  region: undefined,
  interfaces: ['public'],
  serviceName: undefined,
};

/** One server that is Keystone at /v3/auth/tokens and Cinder elsewhere. */
export interface Harness {
  readonly clock: ManualClock;
  readonly session: Session;
  readonly service: FakeService;
  readonly logins: () => number;
  readonly warnings: string[];
  /** The password of every login. */
  readonly passwords: string[];
}

interface Options {
  readonly login?: (n: number) => Reply;
  readonly api?: (token: string, n: number) => Reply;
  readonly override?: string;
  /** The password that the settings give when they are read again; they cannot be read while it is undefined. */
  readonly password?: () => string | undefined;
}

export async function harness(t: TestContext, options: Options = {}): Promise<Harness> {
  const clock = new ManualClock();
  let logins = 0;
  let calls = 0;
  const passwords: string[] = [];
  const service = await fakeService(t, ({ path, headers, body }) => {
    if (path === '/v3/auth/tokens') passwords.push(passwordIn(body));
    if (path === '/v3/auth/tokens') return (options.login ?? token)(++logins);
    return (options.api ?? (() => ({})))(String(headers['x-auth-token']), ++calls);
  });
  const tls = { verify: true, cacert: undefined, cert: undefined, key: undefined };
  const warnings: string[] = [];
  const log: Log = { ...silentLog, warn: (_, message) => void warnings.push(message) };
  const http = new Http({ tls, clock, log, timeoutMs: 30_000, retries: 0 });
  t.after(() => http.close());
  const cloud: CloudConfig = {
    name: 'test',
    source: 'test',
    authUrl: service.url,
    auth: {
      method: 'password',
      user: { name: 'u', domain: { id: 'default' } },
      password: new Secret('pw'),
      project: { name: 'p', domain: { id: 'default' } },
    },
    image: { ...SERVICE, serviceType: 'image' },
    // `own`: this very server is Cinder as well.
    volume: { ...SERVICE, endpointOverride: options.override === 'own' ? service.url : options.override },
    tls,
    proxies: NO_PROXIES,
    warnings: [],
  };
  const { password } = options;
  const reread = (): CloudConfig => {
    const text = password?.();
    if (text === undefined) throw new CinderfsError('cloud_missing', 'no clouds.yaml was found');
    return { ...cloud, auth: { ...cloud.auth, password: new Secret(text) } as CloudConfig['auth'] };
  };
  const session = new Session({ cloud, reread, http, clock, log, timeoutMs: 30_000 });
  return { clock, session, service, logins: () => logins, warnings, passwords };
}

function passwordIn(body: string): string {
  const login = JSON.parse(body) as
    { auth?: { identity?: { password?: { user?: { password?: string } } } } } | undefined;
  return login?.auth?.identity?.password?.user?.password ?? '';
}

/** The n-th token: an hour long, from a Keystone whose clock is a day off. */
export function token(n: number, roles: readonly string[] = ['member']): FakeAnswer {
  return {
    status: 201,
    headers: { 'x-subject-token': `token-${n}` },
    body: {
      token: {
        issued_at: '2001-01-01T00:00:00.000000Z',
        expires_at: '2001-01-01T01:00:00.000000Z',
        user: { name: 'u' },
        project: { id: 'p1', name: 'p' },
        roles: roles.map((name) => ({ name })),
        catalog: [
          {
            type: 'volumev3',
            endpoints: [{ interface: 'public', region_id: 'R', url: 'http://cinder.test/v3/p1' }],
          },
        ],
      },
    },
  };
}

/** Milliseconds that a token lives. */
export const HOUR = 3_600_000;
