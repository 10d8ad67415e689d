import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Undo } from '../support/undo.js';

/** One call of cinderfs and what the service answered. */
export interface Exchange {
  readonly method: string;
  /** As the service was asked. */
  readonly path: string;
  readonly token: string | undefined;
  readonly sent: string;
  readonly status: number;
  /** A token that Keystone issued. */
  readonly issued: string | undefined;
  readonly body: string;
}

/** Sees each answer before cinderfs does, which waits for it. */
type Observer = (exchange: Exchange) => void | Promise<void>;

const SERVICES = /http:\/\/127\.0\.0\.1:(5000|8776|9292)(?=[/"])/g;
/** Of the connection, not of the message. */
const HOP = new Set([
  'connection',
  'content-encoding',
  'content-length',
  'host',
  'keep-alive',
  'transfer-encoding',
]);

/** Stands between cinderfs and the services of the real OpenStack, which are below /PORT of it. */
export class CloudProxy {
  readonly url: string;

  private constructor(url: string) {
    this.url = url;
  }

  get authUrl(): string {
    return `${this.url}/5000/v3`;
  }

  static async start(undo: Undo, observe: Observer): Promise<CloudProxy> {
    const server = createServer((request, response) => {
      forward(request, response, observe).catch((error: unknown) => {
        if (!response.headersSent) response.writeHead(502);
        response.end(String(error));
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    undo.after(async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
    return new CloudProxy(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }
}

async function forward(request: IncomingMessage, response: ServerResponse, observe: Observer): Promise<void> {
  const [, port = '', path = ''] = /^\/(\d+)(.*)$/.exec(request.url ?? '') ?? [];
  const method = request.method ?? 'GET';
  const sent = await textOf(request);
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    headers: Object.entries(request.headers).flatMap(([name, value]): [string, string][] =>
      HOP.has(name) || typeof value !== 'string' ? [] : [[name, value]],
    ),
    ...(sent === '' ? {} : { body: sent }),
    redirect: 'manual',
  });
  const body = await answer.text();
  await observe({
    method,
    path,
    token: request.headers['x-auth-token']?.toString(),
    sent,
    status: answer.status,
    issued: answer.headers.get('x-subject-token') ?? undefined,
    body,
  });
  const headers = [...answer.headers].filter(([name]) => !HOP.has(name));
  response.writeHead(answer.status, Object.fromEntries(headers));
  const here = `http://${request.headers.host ?? ''}`;
  response.end(method === 'HEAD' ? undefined : body.replace(SERVICES, `${here}/$1`));
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
