/** The HTTP side of the cloud: one port, three services under prefixes, the admin extras, faults and the log. */

import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';

import { sleep, systemClock } from '../src/async/clock.js';
import { reasonOf } from '../src/errors.js';
import type { Faults } from './faults.js';
import type { RequestLog } from './request-log.js';
import { ApiError, Unanswered, header, type Call, type Reply, type Service } from './service.js';
import type { StateFile } from './state-file.js';
import type { Tokens } from './tokens.js';

export interface ServerDeps {
  readonly services: readonly Service[];
  readonly admin: (call: Call) => Promise<Reply>;
  readonly faults: Faults;
  readonly log: RequestLog;
  readonly state: StateFile;
  readonly tokens: Tokens;
  /** `http://127.0.0.1:8080`. */
  readonly root: () => string;
}

/** Not yet listening. A client that goes away does not stop what it asked for: that is what makes timeouts ambiguous. */
export function createCloudServer(deps: ServerDeps): Server {
  return createServer((request, response) => {
    // A client may vanish at any time; then no answer is needed.
    response.on('error', () => undefined);
    answer(deps, request, response).catch(() => response.destroy());
  });
}

async function answer(deps: ServerDeps, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', deps.root());
  const service = deps.services.find(({ prefix }) => isBelow(url.pathname, prefix));
  const prefix = service?.prefix ?? '';
  const path = url.pathname.slice(prefix.length) || '/';
  const call: Call = {
    method: request.method ?? 'GET',
    path,
    resource: service?.resourceOf(path) ?? path,
    query: url.searchParams,
    headers: request.headers,
    body: await readJson(request),
    baseUrl: `${deps.root()}${prefix}`,
    requestId: `req-${randomUUID()}`,
  };
  if (service !== undefined) await serve(deps, service, call, response);
  else if (isBelow(url.pathname, '/_devcloud')) await send(response, await deps.admin(call));
  else await send(response, { status: 404, json: { error: `nothing at ${url.pathname}` } });
}

function isBelow(path: string, prefix: string): boolean {
  return path === prefix || path.startsWith(`${prefix}/`);
}

async function serve(
  deps: ServerDeps,
  service: Service,
  call: Call,
  response: ServerResponse,
): Promise<void> {
  const { name } = service;
  const { method, resource, requestId } = call;
  const query = call.query.toString();
  const entry = deps.log.add({
    service: name,
    method,
    resource,
    query,
    status: 0,
    requestId,
    at: Date.now(),
  });

  const before = await strikeBefore(deps, service, call, response);
  if (before === 'unanswered') return;
  const reply = before ?? (await perform(deps, service, call));
  if (reply === 'unanswered') return;
  const after = deps.faults.take(name, call, 'drop-after', 'hang-after');
  if (after?.kind === 'drop-after') response.destroy();
  if (after !== undefined) return;
  entry.status = reply.status;
  const short = deps.faults.take(name, call, 'short-list') !== undefined;
  await send(response, short ? emptied(reply) : reply);
}

/** Faults that come before the effect: an error instead of it, no answer at all, or nothing to keep it from running. */
async function strikeBefore(
  deps: ServerDeps,
  service: Service,
  call: Call,
  response: ServerResponse,
): Promise<Reply | 'unanswered' | undefined> {
  const latency = deps.faults.take(service.name, call, 'latency');
  if (latency?.delayMs !== undefined) await sleep(systemClock, latency.delayMs);
  const fault = deps.faults.take(service.name, call, 'drop', 'hang', 'status', 'expire-token');
  switch (fault?.kind) {
    case 'drop':
      response.destroy();
      return 'unanswered';
    case 'hang':
      return 'unanswered';
    case 'status':
      return service.refuse(call, new ApiError(fault.status ?? 503, fault.message ?? 'failed on demand'));
    case 'expire-token':
      deps.tokens.revoke(header(call, 'x-auth-token'));
      return undefined;
    case undefined:
      return undefined;
  }
}

/** The same listing with nothing in it. */
function emptied(reply: Reply): Reply {
  const entries = Object.entries(reply.json ?? {}).filter(([, value]) => Array.isArray(value));
  return { ...reply, json: Object.fromEntries(entries.map(([name]) => [name, []])) };
}

/** A change is on disk before any client sees it, whether or not it is answered. */
async function perform(deps: ServerDeps, service: Service, call: Call): Promise<Reply | 'unanswered'> {
  try {
    return await service.handle(call);
  } catch (error) {
    if (error instanceof Unanswered) return 'unanswered';
    return service.refuse(call, new ApiError(500, reasonOf(error)));
  } finally {
    await deps.state.save();
  }
}

async function send(response: ServerResponse, reply: Reply): Promise<void> {
  const headers: Record<string, string> = { ...reply.headers };
  if (reply.file !== undefined) {
    const { path, start, end } = reply.file;
    headers['Content-Length'] = String(end - start);
    response.writeHead(reply.status, headers);
    if (end > start) await pipeline(createReadStream(path, { start, end: end - 1 }), response);
    else response.end();
    return;
  }
  const text = reply.json === undefined ? '' : JSON.stringify(reply.json);
  if (text !== '') headers['Content-Type'] = 'application/json';
  if (reply.status !== 204) headers['Content-Length'] = String(Buffer.byteLength(text));
  response.writeHead(reply.status, headers);
  response.end(text);
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch {
    return undefined; // no body, or not JSON: the operation says what it misses
  }
}
