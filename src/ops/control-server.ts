import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import path from 'node:path';
import { systemClock, type Clock } from '../async/clock.js';
import { CinderfsError, reasonOf, type ErrorCode } from '../errors.js';
import { keepDirectory, unusable } from '../sys/files/kept-directory.js';

/** What a control call may ask. A handler's result is sent as JSON; a CinderfsError becomes a ControlFailure. */
export type ControlHandlers = Readonly<Record<string, (query: URLSearchParams) => unknown>>;

/** The body of a failed control call. */
export interface ControlFailure {
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly remedy: string };
}

/** Milliseconds that close() gives the answers that are on their way. */
const LAST_WORDS_MS = 1000;

/** Bytes of a request's head: no call of ours has a tenth of it. */
const MAX_HEAD_BYTES = 8 * 1024;

/** Milliseconds for a request to arrive whole, and for its answer to be taken. */
const PATIENCE_MS = 5_000;

/** Connections that have asked nothing yet; further ones put out the oldest. */
const MAX_SILENT = 128;

/** Connections that the kernel keeps until this process has the time for them. */
const BACKLOG = 4096;

export interface ControlServer {
  close(): Promise<void>;
}

/**
 * Serves `handlers` ("GET /status", "POST /unmount", ...) over HTTP on a unix socket, mode 0600: a client that may connect
 * runs as the user of the daemon, or as root. Throws `mountpoint_busy` or `path_unusable`. A socket file without a listener is a leftover of a crash and is replaced.
 */
export async function startControlServer(
  socketPath: string,
  handlers: ControlHandlers,
  clock: Clock = systemClock,
): Promise<ControlServer> {
  const directory = path.dirname(socketPath);
  keepDirectory({ setting: 'run_dir', path: directory, mode: 0o755 });
  if (await answers(socketPath)) {
    throw new CinderfsError('mountpoint_busy', `another cinderfs daemon serves this mount point already`, {
      path: socketPath,
    });
  }
  const limits = { maxHeaderSize: MAX_HEAD_BYTES, headersTimeout: PATIENCE_MS, requestTimeout: PATIENCE_MS };
  const silent = new Set<Socket>();
  const server = createServer({ ...limits, connectionsCheckingInterval: 1000 }, (request, response) => {
    silent.delete(request.socket);
    void respond(request, response, handlers);
  });
  server.on('connection', (socket) => admit(socket, silent));
  // What is no request gets no answer. Node's own answer would wait for a client that does not read it.
  server.on('clientError', (_, socket) => socket.destroy());
  try {
    await rm(socketPath, { force: true });
    await listen(server, socketPath);
  } catch (cause) {
    throw unusable('run_dir', directory, `takes no control socket: ${reasonOf(cause)}`, { cause });
  }
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
    server.listen({ path: socketPath, backlog: BACKLOG }, () => {
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

/** A client that connects and stays silent must not keep out the others. */
function admit(socket: Socket, silent: Set<Socket>): void {
  const [oldest] = silent;
  if (silent.size >= MAX_SILENT && oldest !== undefined) {
    silent.delete(oldest);
    oldest.destroy();
  }
  silent.add(socket);
  socket.once('close', () => silent.delete(socket));
  socket.on('error', () => socket.destroy());
}

/** Never rejects: no caller awaits it. */
async function respond(
  request: IncomingMessage,
  response: ServerResponse,
  handlers: ControlHandlers,
): Promise<void> {
  // A call has no body; what is sent all the same is read past, within the time for a request.
  request.on('error', () => undefined).resume();
  response.on('error', () => undefined);
  try {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://control');
    const call = `${request.method ?? 'GET'} ${pathname}`;
    const handler = Object.hasOwn(handlers, call) ? handlers[call] : undefined;
    if (handler === undefined)
      throw new CinderfsError('unsupported', `no control call ${JSON.stringify(pathname)}`);
    send(response, 200, JSON.stringify(await handler(searchParams)));
  } catch (thrown) {
    const error = CinderfsError.is(thrown) ? thrown : asked(thrown);
    const { code, message, remedy } = error;
    send(response, 409, JSON.stringify({ error: { code, message, remedy } }));
  }
}

/** What a request made Node throw is the request's fault. */
function asked(thrown: unknown): CinderfsError {
  const unreadable = (thrown as NodeJS.ErrnoException | undefined)?.code === 'ERR_INVALID_URL';
  return unreadable
    ? new CinderfsError('usage', 'the request names no control call')
    : CinderfsError.from(thrown);
}

function send(response: ServerResponse, status: number, body: string | undefined): void {
  if (response.destroyed) return;
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
  // A client that does not read its answer must not keep it in memory.
  response.setTimeout(PATIENCE_MS, () => response.destroy());
  response.end(body);
}
