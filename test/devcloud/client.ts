/** A client of the devcloud for its own tests: fetch, and nothing of the product. */

import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

import { startDevcloud, type Devcloud, type DevcloudOptions } from '../../devcloud/devcloud.js';
import { pick, pickText } from '../../devcloud/json.js';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

/** A directory that goes away with the test. */
export async function temporaryDirectory(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'devcloud-test-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** A cloud that ends with the test, in a directory of its own unless one is given. */
export async function cloudFor(t: TestContext, options: Partial<DevcloudOptions> = {}): Promise<Devcloud> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'devcloud-test-')));
  const devcloud = await startDevcloud({ ...options, dir });
  t.after(async () => {
    await devcloud.close();
    if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
  });
  return devcloud;
}

/** Someone logged in. */
export class Client {
  readonly url: string;
  readonly token: string;
  readonly projectId: string;

  constructor(url: string, token: string, projectId: string) {
    this.url = url;
    this.token = token;
    this.projectId = projectId;
  }

  static async login(
    devcloud: Devcloud,
    env: Readonly<Record<string, string>> = devcloud.env,
  ): Promise<Client> {
    const answer = await authenticate(devcloud.url, env);
    const projectId = pickText(answer.body, 'token', 'project', 'id') ?? '';
    return new Client(devcloud.url, answer.headers.get('x-subject-token') ?? '', projectId);
  }

  /** `path` below `/volume/v3/PROJECT`. */
  cinder(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    return request(method, `${this.url}/volume/v3/${this.projectId}${path}`, body, {
      'X-Auth-Token': this.token,
      'OpenStack-API-Version': 'volume 3.54',
      ...headers,
    });
  }

  /** `path` below `/image`. */
  glance(method: string, path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return request(method, `${this.url}/image${path}`, undefined, { 'X-Auth-Token': this.token, ...headers });
  }

  async volumeStatus(volumeId: string): Promise<string | undefined> {
    return pickText((await this.cinder('GET', `/volumes/${volumeId}`)).body, 'volume', 'status');
  }

  reserve(volumeId: string, more: object = {}): Promise<Answer> {
    return this.cinder('POST', '/attachments', {
      attachment: { volume_uuid: volumeId, mode: 'ro', ...more },
    });
  }

  connect(attachmentId: string, connector: object = CONNECTOR): Promise<Answer> {
    return this.cinder('PUT', `/attachments/${attachmentId}`, { attachment: { connector } });
  }

  complete(attachmentId: string): Promise<Answer> {
    return this.cinder('POST', `/attachments/${attachmentId}/action`, { 'os-complete': null });
  }

  delete(attachmentId: string): Promise<Answer> {
    return this.cinder('DELETE', `/attachments/${attachmentId}`);
  }
}

export const CONNECTOR = {
  host: 'test-host',
  ip: '127.0.0.1',
  platform: 'x86_64',
  os_type: 'linux',
  multipath: false,
  mountpoint: 'cinderfs',
};

export function attachmentId(answer: Answer): string {
  return pickText(answer.body, 'attachment', 'id') ?? '';
}

/** What `GET /v3/auth/tokens` with a password answers. */
export function authenticate(url: string, env: Readonly<Record<string, string>>): Promise<Answer> {
  const user = {
    name: env.OS_USERNAME,
    domain: { name: env.OS_USER_DOMAIN_NAME },
    password: env.OS_PASSWORD,
  };
  const project = { name: env.OS_PROJECT_NAME, domain: { name: env.OS_PROJECT_DOMAIN_NAME } };
  const identity = { methods: ['password'], password: { user } };
  return request('POST', `${url}/identity/v3/auth/tokens`, { auth: { identity, scope: { project } } });
}

export async function request(
  method: string,
  url: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers: { ...(body === undefined ? {} : { 'Content-Type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  const isJson = response.headers.get('content-type')?.startsWith('application/json') ?? false;
  const parsed: unknown = isJson && text !== '' ? JSON.parse(text) : text;
  return { status: response.status, headers: response.headers, body: parsed };
}

/** The message of an error of any of the three services. */
export function messageOf(answer: Answer): string {
  const top = Object.values(answer.body as Record<string, unknown>)[0];
  return pickText(top, 'message') ?? pickText(answer.body, 'message') ?? String(pick(answer.body, 'error'));
}

/** The first `length` bytes of a file: volumes are a GiB long, too much to read whole. */
export async function firstBytes(path: string, length: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
