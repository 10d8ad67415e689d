import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { mkdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import path from 'node:path';
import { systemClock, type Clock } from '../async/clock.js';
import { CinderfsError, type ErrorCode } from '../errors.js';

/** What a control call may ask. A handler's result is sent as JSON; a CinderfsError becomes a ControlFailure. */
export type ControlHandlers = Readonly<Record<string, (query: URLSearchParams) => unknown>>;

/** The body of a failed control call. */
export interface ControlFailure {
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly remedy: string };
}

/** Milliseconds that close() gives the answers that are on their way. */
const LAST_WORDS_MS = 1000;

export interface ControlServer {
  close(): Promise<void>;
}

/**
 * Serves `handlers` ("GET /status", "POST /unmount", ...) over HTTP on a unix socket, mode 0600: whoever may connect
 * is the user the daemon runs as. A socket file that nobody listens on is a leftover of a crash and is replaced.
 */
export async function startControlServer(
  socketPath: string,
  handlers: ControlHandlers,
  clock: Clock = systemClock,
): Promise<ControlServer> {
  await mkdir(path.dirname(socketPath), { recursive: true, mode: 0o755 });
  if (await answers(socketPath)) {
    throw new CinderfsError('mountpoint_busy', `another cinderfs daemon serves this mount point already`, {
      path: socketPath,
    });
  }
  await rm(socketPath, { force: true });
  const server = createServer((request, response) => void respond(request, response, handlers));
  await listen(server, socketPath);
  return {
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      // Answers on their way are finished; a client that does not take its answer must not keep the daemon.
      const stop = clock.after(LAST_WORDS_MS, () => server.closeAllConnections());
      await closed;
      stop();
      await rm(socketPath, { force: true });
    },
  };
}

function listen(server: Server, socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const previous = process.umask(0o177);
    server.listen(socketPath, () => {
      server.off('error', reject);
      resolve();
    });
    process.umask(previous);
  });
}

/** Whether a process listens on that socket. */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  handlers: ControlHandlers,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://control');
  const handler = handlers[`${request.method ?? 'GET'} ${url.pathname}`];
  try {
    if (handler === undefined) throw new CinderfsError('unsupported', `no control call ${url.pathname}`);
    send(response, 200, await handler(url.searchParams));
  } catch (thrown) {
    const error = CinderfsError.from(thrown);
    send(response, 409, { error: { code: error.code, message: error.message, remedy: error.remedy } });
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
  response.end(JSON.stringify(body));
}
