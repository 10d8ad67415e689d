import type { Clock } from '../../async/clock.js';
import { withDeadline } from '../../async/deadline.js';
import { hedged } from '../../async/hedged.js';
import { SingleFlight } from '../../async/single-flight.js';
import type { CloudConfig } from '../../config/cloud-config.js';
import { CinderfsError, reasonOf } from '../../errors.js';
import type { Log } from '../../log.js';
import { Credentials } from './credentials.js';
import type { Http } from '../http/http.js';
import type { HttpAnswer, HttpRequest } from '../http/exchange.js';
import { failedLogin, refusedLogin, refusedToken, REFUSALS } from './login-error.js';
import { selectEndpoint, type ServiceName } from './service-catalog.js';
import { loginBody, loginUrl, tokenOf, type Token } from './token.js';

export interface SessionOptions {
  readonly cloud: CloudConfig;
  /** What the settings say now; throws where they cannot be read any more. Absent: they cannot change. */
  readonly reread?: (() => CloudConfig) | undefined;
  readonly http: Http;
  readonly clock: Clock;
  readonly log: Log;
  /** Milliseconds for a login, and for a call that names no deadline. */
  readonly timeoutMs: number;
}

export type SessionRequest = Omit<HttpRequest, 'service'>;

/**
 * A login without an answer gets company after this: a Keystone that hung and is back never answers what was asked
 * before, and every caller would wait for that until its deadline.
 */
const HEDGE_MS = 10_000;

/** After a renewal failed, the old token serves on; Keystone is asked again after this. */
const RENEWAL_PAUSE_MS = 10_000;

/** What Keystone refused is not tried again at once, unless the settings change: it locks accounts that guess. */
const REFUSAL_PAUSE = { firstMs: 1_000, longestMs: 30_000 };

/** Since when logins fail (wall clock, milliseconds), and why. */
export interface LoginFailure {
  readonly since: number;
  readonly error: CinderfsError;
}

const NAMES: Readonly<Record<ServiceName, string>> = { image: 'Glance', volume: 'Cinder' };

/**
 * We, logged in. Keeps one token and shares it: renewed in the background before its end, and once more when a
 * service refuses it, however many calls it refused.
 */
export class Session {
  readonly #options: SessionOptions;
  readonly #logins = new SingleFlight<'login', Token>();
  readonly #credentials: Credentials;
  #token: Token | undefined;
  #renewalPausedUntil = -Infinity;
  #refused: { readonly error: CinderfsError; readonly until: number } | undefined;
  #refusals = 0;
  #failure: LoginFailure | undefined;
  /** That of the first token: a session is in one project, whatever the settings say later. */
  #projectId: string | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#credentials = new Credentials(options);
  }

  /** Undefined while logins succeed. */
  get loginFailure(): LoginFailure | undefined {
    return this.#failure;
  }

  /** Reads the settings again and logs in with them; meanwhile the token that there is serves on. */
  reload(): void {
    this.#credentials.renewed({ now: true });
    this.#refused = undefined;
    this.#renewInBackground();
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
    return selectEndpoint(this.#credentials.cloud[service], endpoints, projectId).replace(/\/+$/, '');
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
      const fresh = await this.#replace(token, left());
      return this.#send(service, left(), fresh).catch((refusal: unknown) => {
        if (!isRefusal(refusal)) throw refusal;
        throw refusedToken(CinderfsError.from(refusal), NAMES[service], this.#credentials.cloud);
      });
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

  /** The login that runs, or a new one. It belongs to all its waiters: it goes on when one of them leaves. */
  #login(): Promise<Token> {
    return this.#logins.run('login', async () => {
      try {
        const token = this.#inSameProject(await this.#logInOrAgain());
        this.#succeed(token);
        return token;
      } catch (thrown) {
        const error = CinderfsError.from(thrown);
        this.#failure = { since: this.#failure?.since ?? this.#options.clock.wall(), error };
        throw error;
      }
    });
  }

  /** Credentials that are refused are looked up again: they may have been replaced while their token lived. */
  async #logInOrAgain(): Promise<Token> {
    const refused = this.#refused;
    if (refused !== undefined && this.#options.clock.now() < refused.until && !this.#credentials.renewed())
      throw refused.error;
    try {
      return await this.#logInHedged();
    } catch (error) {
      if (!CinderfsError.is(error) || error.code !== 'auth_failed') throw error;
      this.#refuse(error);
      if (!this.#credentials.renewed({ now: true })) throw error;
    }
    return this.#logInHedged().catch((error: unknown) => {
      if (CinderfsError.is(error) && error.code === 'auth_failed') this.#refuse(error);
      throw error;
    });
  }

  #refuse(error: CinderfsError): void {
    const pause = Math.min(REFUSAL_PAUSE.longestMs, REFUSAL_PAUSE.firstMs * 2 ** this.#refusals);
    this.#refusals = Math.min(this.#refusals + 1, 10);
    this.#refused = { error, until: this.#options.clock.now() + pause };
  }

  #succeed(token: Token): void {
    const { log } = this.#options;
    log.debug({ user: token.userName, project: token.projectName }, 'logged in to OpenStack');
    if (this.#failure !== undefined) log.info({ user: token.userName }, 'logins succeed again');
    this.#failure = undefined;
    this.#refused = undefined;
    this.#refusals = 0;
    this.#token = token;
  }

  #inSameProject(token: Token): Token {
    this.#projectId ??= token.projectId;
    if (token.projectId === this.#projectId) return token;
    const { cloud } = this.#credentials;
    throw new CinderfsError(
      'auth_failed',
      `the settings of cloud '${cloud.name}' now lead to project ${token.projectId}, and this mount serves ${this.#projectId}`,
      { remedy: 'Give it credentials of the same project, or mount the other one elsewhere.' },
    );
  }

  #logInHedged(): Promise<Token> {
    const { clock, timeoutMs } = this.#options;
    const once = (deadlineMs: number, signal: AbortSignal): Promise<Token> => this.#logIn(deadlineMs, signal);
    return hedged(once, { clock, everyMs: HEDGE_MS, totalMs: timeoutMs });
  }

  async #logIn(deadlineMs: number, signal: AbortSignal): Promise<Token> {
    const { http, clock } = this.#options;
    const { cloud } = this.#credentials;
    const sentAt = clock.now();
    const url = loginUrl(cloud.authUrl);
    const body = loginBody(cloud.auth);
    const login = {
      service: 'Keystone',
      method: 'POST',
      url,
      body,
      repeat: 'always',
      accept: REFUSALS,
    } as const;
    const answer = await http.request({ ...login, deadlineMs, signal }).catch((error: unknown) => {
      throw failedLogin(CinderfsError.from(error), cloud);
    });
    if (REFUSALS.includes(answer.status)) throw refusedLogin(answer, cloud);
    return tokenOf(answer, sentAt);
  }

  #wait(
    login: Promise<Token>,
    wait: { signal?: AbortSignal | undefined; deadlineMs?: number | undefined },
  ): Promise<Token> {
    const { clock, timeoutMs } = this.#options;
    const { cloud } = this.#credentials;
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
