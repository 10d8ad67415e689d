import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  /** Cuts the connection without an answer. */
  drop(): void;
}

export interface FakeAnswer {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  /** Sent as JSON unless it is text. */
  readonly body?: unknown;
}

/** 'drop' cuts the connection; 'hang' never answers. */
export type Reply = FakeAnswer | 'drop' | 'hang';

export interface FakeService {
  readonly url: string;
  readonly requests: readonly SeenRequest[];
}

/** An HTTP service on a free port that answers what `reply` says, until the test ends. */
export async function fakeService(
  t: TestContext,
  reply: (request: SeenRequest, index: number) => Reply | Promise<Reply>,
): Promise<FakeService> {
  const requests: SeenRequest[] = [];
  const serve = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const request: SeenRequest = {
      method: incoming.method ?? '',
      path: incoming.url ?? '',
      headers: incoming.headers,
      body: Buffer.concat(chunks).toString(),
      drop: () => incoming.socket.destroy(),
    };
    requests.push(request);
    const answer = await reply(request, requests.length - 1);
    if (answer === 'hang') return;
    if (answer === 'drop') {
      request.drop();
      return;
    }
    outgoing.writeHead(answer.status ?? 200, answer.headers);
    outgoing.end(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body ?? {}));
  };
  const server = createServer((incoming, outgoing) => {
    serve(incoming, outgoing).catch((error: unknown) => outgoing.destroy(error as Error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}
