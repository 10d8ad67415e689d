import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * Stands before a real Keystone, counts logins and spoils the first tokens, so that the services refuse them as they
 * refuse expired ones.
 */
export interface LoginProxy {
  readonly authUrl: string;
  readonly logins: number;
}

export async function startLoginProxy(
  t: { after(fn: () => unknown): void },
  target: string,
  spoiled: number,
): Promise<LoginProxy> {
  let logins = 0;
  const forward = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const answer = await fetch(target.replace(/(\/v3)?\/*$/, '') + (request.url ?? ''), {
      method: request.method ?? 'GET',
      headers: { 'content-type': 'application/json' },
      body: await read(request),
    });
    logins++;
    const token = answer.headers.get('x-subject-token');
    const subject = token === null ? {} : { 'x-subject-token': logins <= spoiled ? 'gAAAAABspoiled' : token };
    response.writeHead(answer.status, { 'content-type': 'application/json', ...subject });
    response.end(await answer.text());
  };
  const server = createServer((request, response) => {
    forward(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    authUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v3`,
    get logins() {
      return logins;
    },
  };
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
