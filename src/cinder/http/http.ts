/** HTTP to OpenStack: one pool of connections, a deadline for every call, retries of what is safe, errors that name the service. */
import { randomUUID } from 'node:crypto';
import { type Dispatcher, request as send } from 'undici';
import { backoffDelay, type BackoffPolicy } from '../../async/backoff.js';
import { sleep, type Clock } from '../../async/clock.js';
import { CinderfsError } from '../../errors.js';
import type { TlsConfig } from '../../config/cloud-config.js';
import { NO_PROXIES, type Proxies } from '../../config/proxies.js';
import type { Log } from '../../log.js';
import { Deadline } from './call-deadline.js';
import { Connections } from './connections.js';
import { headerOf, type HttpAnswer, type HttpRequest, type RawAnswer } from './exchange.js';
import {
  describe,
  errorOfAnswer,
  errorOfNetwork,
  isFinal,
  isRetriableStatus,
  neverLeft,
} from './http-error.js';
import { parseJson, TooMuch } from './json-text.js';

export interface HttpOptions {
  readonly tls: TlsConfig;
  readonly proxies?: Proxies;
  readonly clock: Clock;
  readonly log: Log;
  /** Milliseconds for one call, retries included. */
  readonly timeoutMs: number;
  readonly retries: number;
  readonly backoff?: BackoffPolicy;
}

/** What is no page of a listing is small. */
const MAX_ANSWER_BYTES = 4 * 2 ** 20;
/** Of an error body only the beginning is read. */
const MAX_ERROR_BYTES = 64 * 2 ** 10;
const BACKOFF: BackoffPolicy = { baseMs: 250, capMs: 5000 };
const MAX_RETRY_AFTER_MS = 30_000;

export class Http {
  readonly #options: HttpOptions;
  readonly #connections: Connections;

  constructor(options: HttpOptions) {
    this.#options = options;
    this.#connections = new Connections(options.tls, options.proxies ?? NO_PROXIES);
  }

  /**
   * Sends the request until it is answered, its deadline passes or its retries are used up.
   * Throws `http_failed`, `http_timeout`, `not_found`, `forbidden`, `conflict`, `auth_failed` (401), `interrupted`.
   */
  async request(request: HttpRequest): Promise<HttpAnswer> {
    const { clock, timeoutMs } = this.#options;
    const deadline = new Deadline(clock, request.deadlineMs ?? timeoutMs, request.signal);
    // One id for all attempts: the services log it beside their own.
    const globalId = `req-${randomUUID()}`;
    try {
      return await this.#attempts(request, deadline, globalId);
    } finally {
      deadline.end();
    }
  }

  async close(): Promise<void> {
    await this.#connections.close();
  }

  async #attempts(request: HttpRequest, deadline: Deadline, globalId: string): Promise<HttpAnswer> {
    const { clock, log, retries, backoff = BACKOFF } = this.#options;
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.#attempt(request, deadline, globalId);
      if ('answer' in outcome) return outcome.answer;
      const again = outcome.retriable && attempt < (request.retries ?? retries) && !deadline.over;
      const delay = outcome.retryAfterMs ?? backoffDelay(backoff, attempt);
      if (!again || delay >= deadline.leftMs) throw outcome.error;
      log.debug({ reason: outcome.error.message, attempt, delay_ms: delay }, 'OpenStack call is repeated');
      await sleep(clock, delay, deadline.signal).catch(() => {
        throw deadline.explain(outcome.error);
      });
    }
  }

  async #attempt(request: HttpRequest, deadline: Deadline, globalId: string): Promise<Outcome> {
    try {
      const answer = await this.#exchange(request, deadline.signal, globalId);
      if (isSuccess(answer.status) || request.accept?.includes(answer.status) === true) {
        return { answer: { ...answer, body: parseBody(request, answer) } };
      }
      return {
        error: errorOfAnswer(request, answer),
        retriable: request.repeat === 'always' && isRetriableStatus(answer.status),
        retryAfterMs: retryAfter(answer.headers, this.#options.clock),
      };
    } catch (thrown) {
      if (CinderfsError.is(thrown)) throw thrown;
      const error = errorOfNetwork(request, thrown, globalId);
      if (deadline.over) throw deadline.explain(error);
      const retriable = !isFinal(thrown) && (request.repeat === 'always' || neverLeft(thrown));
      return { error, retriable, retryAfterMs: undefined };
    }
  }

  async #exchange(request: HttpRequest, signal: AbortSignal, globalId: string): Promise<RawAnswer> {
    const { method, url, body, headers, repeat } = request;
    const response = await send(url, {
      method,
      signal,
      dispatcher: this.#connections.to(url, repeat === 'always' ? 'kept' : 'fresh'),
      headers: {
        accept: 'application/json',
        'user-agent': 'cinderfs',
        'x-openstack-request-id': globalId,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const { text, bytes } = await this.#bodyOf(request, response);
    const requestId =
      headerOf(response.headers, 'x-openstack-request-id') ??
      headerOf(response.headers, 'x-compute-request-id') ??
      globalId;
    return { status: response.statusCode, headers: response.headers, text, bytes, requestId };
  }

  /** The body as text, invalid UTF-8 replaced. Leaving the loop early ends the connection: the rest is not read. */
  async #bodyOf(
    request: HttpRequest,
    { statusCode, body }: Dispatcher.ResponseData,
  ): Promise<{ readonly text: string; readonly bytes: number }> {
    const decoder = new TextDecoder();
    const limit = isSuccess(statusCode) ? (request.maxBytes ?? MAX_ANSWER_BYTES) : MAX_ERROR_BYTES;
    let text = '';
    let bytes = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > limit) {
        if (!isSuccess(statusCode)) break;
        const what = `${describe(request)} answered with more than ${limit} bytes`;
        throw new CinderfsError('http_failed', what, { status: statusCode });
      }
      text += decoder.decode(chunk, { stream: true });
    }
    return { text: text + decoder.decode(), bytes };
  }
}

type Outcome =
  | { readonly answer: HttpAnswer }
  | {
      readonly error: CinderfsError;
      readonly retriable: boolean;
      readonly retryAfterMs: number | undefined;
    };

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

function parseBody(request: HttpRequest, { text, status, requestId }: RawAnswer): unknown {
  if (text === '') return undefined;
  try {
    return parseJson(text);
  } catch (cause) {
    const fault =
      cause instanceof TooMuch ? `JSON that is too much: ${cause.message}` : 'something that is not JSON';
    const what = `${describe(request)} answered ${status} and ${fault}`;
    throw new CinderfsError('http_failed', what, { requestId, status, cause });
  }
}

/** Retry-After in seconds or as a date; undefined without one. Never longer than a deadline could bear. */
function retryAfter(headers: HttpAnswer['headers'], clock: Clock): number | undefined {
  const value = headerOf(headers, 'retry-after');
  if (value === undefined) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - clock.wall();
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}
