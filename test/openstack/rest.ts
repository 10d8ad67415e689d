/** The real OpenStack as plain REST, as an operator of it: what a test sets up must not depend on what it tests. */
import assert from 'node:assert/strict';

const KEYSTONE = 'http://127.0.0.1:5000/v3';
const GLANCE = 'http://127.0.0.1:9292/v2';
const CINDER = 'http://127.0.0.1:8776/v3';
const CALL_MS = 120_000;

export type Json = Readonly<Record<string, unknown>>;

export interface Answer {
  readonly status: number;
  readonly body: Json;
  readonly headers: Headers;
}

interface Call {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One user's session in one project of the lab. */
export class Rest {
  readonly token: string;
  readonly project: string;
  readonly user: string;

  private constructor(token: string, project: string, user: string) {
    this.token = token;
    this.project = project;
    this.user = user;
  }

  /** Users of the lab have their names as passwords. */
  static async login(user: string, project: string, password = user): Promise<Rest> {
    const domain = { id: 'default' };
    const identity = { methods: ['password'], password: { user: { name: user, password, domain } } };
    const { headers, body } = await answered('POST', `${KEYSTONE}/auth/tokens`, {
      body: { auth: { identity, scope: { project: { name: project, domain } } } },
    });
    const token = body.token as { project: { id: string }; user: { id: string } };
    return new Rest(headers.get('x-subject-token') ?? '', token.project.id, token.user.id);
  }

  keystone(method: string, path: string, call: Call = {}): Promise<Answer> {
    return this.#call(method, `${KEYSTONE}${path}`, call);
  }

  glance(method: string, path: string, call: Call = {}): Promise<Answer> {
    return this.#call(method, `${GLANCE}${path}`, call);
  }

  cinder(method: string, path: string, call: Call = {}): Promise<Answer> {
    const headers = { 'openstack-api-version': 'volume 3.54', ...call.headers };
    return this.#call(method, `${CINDER}/${this.project}${path}`, { ...call, headers });
  }

  #call(method: string, url: string, call: Call): Promise<Answer> {
    return answered(method, url, { ...call, headers: { 'x-auth-token': this.token, ...call.headers } });
  }
}

/** Fails on any answer but success, and on 404 of a GET or a DELETE, which is an answer to look at. */
async function answered(method: string, url: string, { body, headers = {} }: Call): Promise<Answer> {
  const isBytes = body instanceof Uint8Array;
  const sent = isBytes || body === undefined ? body : JSON.stringify(body);
  const response = await fetch(url, {
    method,
    headers: { 'content-type': 'application/json', ...headers },
    ...(sent === undefined ? {} : { body: sent }),
    signal: AbortSignal.timeout(CALL_MS),
  });
  const text = await response.text();
  const isGone = response.status === 404 && (method === 'GET' || method === 'DELETE');
  assert.ok(response.ok || isGone, `${method} ${url}: ${response.status} ${text.slice(0, 500)}`);
  const json = response.ok && text.startsWith('{') ? (JSON.parse(text) as Json) : {};
  return { status: response.status, body: json, headers: response.headers };
}
