import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const PROJECT = '0123456789abcdef0123456789abcdef';

/** A UUID that tests can count with. */
export const uuid = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;

/** How a fake cloud answers; the caller may change it while it runs. */
export interface FakeCloudAnswers {
  /** Answers GET /v2/images... and GET /v3/volumes...; false leaves it to the 404. */
  respond(request: IncomingMessage, url: URL, response: ServerResponse): boolean;
  readonly roles?: readonly string[];
}

export interface FakeCloud {
  readonly url: string;
  readonly env: NodeJS.ProcessEnv;
  /** Method, path and query of everything that was asked but logins. */
  readonly asked: string[];
}

/** A Keystone that lets everybody in, and a Glance and a Cinder that say what `answers` says: hostile things, or many. */
export async function fakeCloud(
  test: { after: (undo: () => Promise<unknown>) => void },
  answers: FakeCloudAnswers,
): Promise<FakeCloud> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://fake');
    request.resume();
    if (url.pathname.endsWith('/auth/tokens')) {
      response.writeHead(201, { 'x-subject-token': 'fake-token' });
      response.end(JSON.stringify(tokenBody(origin(), answers.roles ?? ['member', 'service'])));
      return;
    }
    asked.push(`${request.method ?? ''} ${request.url ?? ''}`);
    if (url.pathname.endsWith('/v3/')) send(response, { versions: [{ id: 'v3.0', version: '3.70' }] });
    else if (!answers.respond(request, url, response)) send(response, { message: 'no such thing' }, 404);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  test.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const env = {
    OS_AUTH_URL: origin(),
    OS_USERNAME: 'cinderfs',
    OS_PASSWORD: 'fake-password',
    OS_PROJECT_NAME: 'service',
    OS_USER_DOMAIN_ID: 'default',
    OS_PROJECT_DOMAIN_ID: 'default',
  };
  return { url: origin(), env, asked };
}

export function send(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

/** An image as Glance lists it, in a volume that volumeEntry(n) is. */
export function imageEntry(n: number, changes: object = {}): Record<string, unknown> {
  return {
    id: uuid(n),
    name: `image-${n}`,
    status: 'active',
    visibility: 'public',
    owner: PROJECT,
    size: 1000,
    disk_format: 'raw',
    container_format: 'bare',
    created_at: '2026-11-22T12:00:00Z',
    updated_at: '2026-11-22T12:00:00Z',
    os_hidden: false,
    ...changes,
  };
}

/** The volume of image `n`, as Glance makes it. */
export function volumeEntry(n: number, changes: object = {}): Record<string, unknown> {
  return {
    id: uuid(0x1_000_000 + n),
    name: `image-${uuid(n)}`,
    status: 'available',
    size: 1,
    multiattach: true,
    'os-vol-tenant-attr:tenant_id': PROJECT,
    metadata: { glance_image_id: uuid(n), image_size: '1000' },
    ...changes,
  };
}

function tokenBody(origin: string, roles: readonly string[]): object {
  const endpoint = (url: string): object => ({ interface: 'public', region: 'R', region_id: 'R', url });
  return {
    token: {
      issued_at: '2026-11-28T00:00:00.000000Z',
      expires_at: '2026-11-28T01:00:00.000000Z',
      project: { id: PROJECT, name: 'service' },
      user: { id: 'u', name: 'cinderfs' },
      roles: roles.map((name) => ({ id: name, name })),
      catalog: [
        { type: 'image', name: 'glance', endpoints: [endpoint(origin)] },
        { type: 'block-storage', name: 'cinder', endpoints: [endpoint(`${origin}/v3`)] },
      ],
    },
  };
}
