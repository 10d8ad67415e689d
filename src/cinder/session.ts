import type { Clock } from '../async/clock.js';
import { withDeadline } from '../async/deadline.js';
import { hedged } from '../async/hedged.js';
import { SingleFlight } from '../async/single-flight.js';
import type { CloudConfig } from '../config/cloud-config.js';
import { CinderfsError, reasonOf } from '../errors.js';
import type { Log } from '../log.js';
import type { Http, HttpAnswer, HttpRequest } from './http.js';
import { selectEndpoint, type ServiceName } from './service-catalog.js';
import { loginBody, loginUrl, tokenOf, type Token } from './token.js';

export interface SessionOptions {
  readonly cloud: CloudConfig;
  readonly http: Http;
  readonly clock: Clock;
  readonly log: Log;
  /** Milliseconds for a login, and for a call that names no deadline. */
  readonly timeoutMs: number;
}

export type SessionRequest = Omit<HttpRequest, 'service'>;

/**
 * A login without an answer gets company after this: a Keystone that hung and is back never answers what was asked
 * before, and everybody would wait for that until its deadline.
 */
const HEDGE_MS = 10_000;

/** After a renewal failed, the old token serves on; Keystone is asked again after this. */
const RENEWAL_PAUSE_MS = 10_000;

const NAMES: Readonly<Record<ServiceName, string>> = { image: 'Glance', volume: 'Cinder' };

/**
 * We, logged in. Keeps one token and shares it: renewed in the background before its end, and once more when a
 * service refuses it, however many calls it refused.
 */
export class Session {
  readonly #options: SessionOptions;
  readonly #logins = new SingleFlight<'login', Token>();
  #token: Token | undefined;
  #renewalPausedUntil = -Infinity;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  /**
   * A token that has not ended. Throws `auth_failed` if Keystone refuses us, `auth_unreachable` if it does not answer.
   */
  async token(
    wait: { signal?: AbortSignal | undefined; deadlineMs?: number | undefined } = {},
  ): Promise<Token> {
    const token = this.#token;
    const now = this.#options.clock.now();
    if (token === undefined || now >= token.endsAt) return this.#wait(this.#login(), wait);
    if (now >= token.renewAt && now >= this.#renewalPausedUntil) this.#renewInBackground();
    return token;
  }

  /** Where `service` is, without a trailing slash. */
  async endpoint(service: ServiceName, wait: { signal?: AbortSignal | undefined } = {}): Promise<string> {
    const { endpoints, projectId } = await this.token(wait);
    return selectEndpoint(this.#options.cloud[service], endpoints, projectId).replace(/\/+$/, '');
  }

  /** Sends the request with our token. A token that is refused is replaced, and the request sent again, once. */
  async request(service: ServiceName, request: SessionRequest): Promise<HttpAnswer> {
    const { clock, timeoutMs } = this.#options;
    const ends = clock.now() + (request.deadlineMs ?? timeoutMs);
    const left = (): SessionRequest => ({ ...request, deadlineMs: Math.max(0, ends - clock.now()) });
    const token = await this.token(left());
    try {
      return await this.#send(service, left(), token);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      // 401 says the request was not looked at: even a POST may be sent again.
      return this.#send(service, left(), await this.#replace(token, left()));
    }
  }

  #send(service: ServiceName, request: SessionRequest, token: Token): Promise<HttpAnswer> {
    const id = token.id.reveal();
    // Glance's locations and Cinder's guarded detach look for the service role in a service token (reference 2.1.4).
    const serviceToken = token.roles.has('service') ? { 'x-service-token': id } : {};
    return this.#options.http.request({
      ...request,
      service: NAMES[service],
      headers: { ...request.headers, 'x-auth-token': id, ...serviceToken },
    });
  }

  /** A token other than `refused`: the one that another call fetched meanwhile, or a new one. */
  #replace(refused: Token, wait: SessionRequest): Promise<Token> {
    if (this.#token === refused) this.#token = undefined;
    return this.token(wait);
  }

  #renewInBackground(): void {
    const { clock, log } = this.#options;
    this.#renewalPausedUntil = clock.now() + RENEWAL_PAUSE_MS;
    this.#login().catch((error: unknown) =>
      log.warn(
        { reason: reasonOf(error) },
        'the token could not be renewed; the old one is used until its end',
      ),
    );
  }

  /** The login that runs, or a new one. It belongs to all who wait for it, so nobody's leaving ends it. */
  #login(): Promise<Token> {
    return this.#logins.run('login', async () => {
      const { clock, log, timeoutMs } = this.#options;
      const once = (deadlineMs: number, signal: AbortSignal): Promise<Token> =>
        this.#logIn(deadlineMs, signal);
      const token = await hedged(once, { clock, everyMs: HEDGE_MS, totalMs: timeoutMs });
      log.debug({ user: token.userName, project: token.projectName }, 'logged in to OpenStack');
      this.#token = token;
      return token;
    });
  }

  async #logIn(deadlineMs: number, signal: AbortSignal): Promise<Token> {
    const { cloud, http, clock } = this.#options;
    const sentAt = clock.now();
    const url = loginUrl(cloud.authUrl);
    const body = loginBody(cloud.auth);
    const login = { service: 'Keystone', method: 'POST', url, body, repeat: 'always' } as const;
    const answer = await http.request({ ...login, deadlineMs, signal }).catch((error: unknown) => {
      throw loginError(CinderfsError.from(error), cloud);
    });
    return tokenOf(answer, sentAt);
  }

  #wait(
    login: Promise<Token>,
    wait: { signal?: AbortSignal | undefined; deadlineMs?: number | undefined },
  ): Promise<Token> {
    const { clock, timeoutMs, cloud } = this.#options;
    return withDeadline(login, {
      clock,
      ms: wait.deadlineMs ?? timeoutMs * 2,
      signal: wait.signal,
      onTimeout: () =>
        new CinderfsError('auth_unreachable', `Keystone at ${cloud.authUrl} did not answer in time`),
    });
  }
}

function isRefusal(error: unknown): boolean {
  return CinderfsError.is(error) && error.context.status === 401;
}

function loginError(error: CinderfsError, cloud: CloudConfig): CinderfsError {
  const { status, requestId, remedy } = error.context;
  const context = { status, requestId, remedy, cause: error };
  if (status === 401 || status === 403) {
    return new CinderfsError(
      'auth_failed',
      `Keystone at ${cloud.authUrl} refused ${identityOf(cloud)} (cloud '${cloud.name}')`,
      context,
    );
  }
  // Keystone answered, but not as one that logs in: a wrong path, or a server that fails.
  if (status !== undefined)
    return new CinderfsError('auth_unreachable', `login failed: ${error.message}`, context);
  return new CinderfsError(
    'auth_unreachable',
    `Keystone at ${cloud.authUrl} does not answer: ${error.message}`,
    context,
  );
}

function identityOf({ auth }: CloudConfig): string {
  if (auth.method === 'application_credential') {
    const { credential } = auth;
    return `application credential ${'id' in credential ? credential.id : credential.name}`;
  }
  const nameOf = (reference: { id: string } | { name: string }): string =>
    'id' in reference ? reference.id : reference.name;
  return `user '${nameOf(auth.user)}' in project '${nameOf(auth.project)}'`;
}
