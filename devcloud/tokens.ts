import type { ApplicationCredential, Project, RoleName, User } from './identity.js';
import { newTokenId } from './ids.js';
import type { Call } from './service.js';
import { header } from './service.js';

/** The identity of a caller. Unscoped tokens have no project and no roles. */
export interface Token {
  readonly id: string;
  readonly method: 'password' | 'application_credential';
  readonly user: User;
  readonly project: Project | undefined;
  readonly roles: readonly RoleName[];
  readonly applicationCredential: ApplicationCredential | undefined;
  /** Milliseconds since the epoch. */
  readonly issuedAt: number;
  readonly expiresAt: number;
}

export type Grant = Pick<Token, 'method' | 'user' | 'project' | 'roles' | 'applicationCredential'>;

/** The tokens issued since the start. They die with the process, as after a change of fernet keys. */
export class Tokens {
  readonly #issued = new Map<string, Token>();
  /** Lifetime of tokens issued from now on. */
  ttlSeconds: number;
  readonly #now: () => number;

  /** `now` in milliseconds since the epoch; tests have their own. */
  constructor(ttlSeconds: number, now: () => number = Date.now) {
    this.ttlSeconds = ttlSeconds;
    this.#now = now;
  }

  issue(grant: Grant): Token {
    // Keystone counts in whole seconds; rounding up keeps a 1 s token usable at all.
    const issuedAt = Math.floor(this.#now() / 1000) * 1000;
    const expiresAt = Math.ceil((this.#now() + this.ttlSeconds * 1000) / 1000) * 1000;
    const token: Token = { ...grant, id: newTokenId(), issuedAt, expiresAt };
    this.#issued.set(token.id, token);
    return token;
  }

  /** The token, unless it is unknown, expired or revoked. */
  find(id: string | undefined): Token | undefined {
    const token = id === undefined ? undefined : this.#issued.get(id);
    return token !== undefined && token.expiresAt > this.#now() ? token : undefined;
  }

  revoke(id: string | undefined): boolean {
    return id !== undefined && this.#issued.delete(id);
  }

  /** From now on every token issued so far answers 401. */
  revokeAll(): void {
    this.#issued.clear();
  }
}

/** The identity behind a request: the user's token, and the service's if it sent one. */
export interface Caller {
  readonly token: Token;
  readonly isAdmin: boolean;
  /** The service role in X-Auth-Token or in a valid X-Service-Token. */
  readonly hasServiceRole: boolean;
  /** A valid X-Service-Token with the service role: Cinder's test for "this is a service". */
  readonly isServiceRequest: boolean;
}

/** The caller, or undefined where keystonemiddleware would answer 401 (an invalid X-Service-Token counts). */
export function callerOf(tokens: Tokens, call: Call): Caller | undefined {
  const token = tokens.find(header(call, 'x-auth-token'));
  if (token === undefined) return undefined;
  const serviceTokenId = header(call, 'x-service-token');
  const serviceToken = tokens.find(serviceTokenId);
  if (serviceTokenId !== undefined && serviceToken === undefined) return undefined;
  const isServiceRequest = serviceToken?.roles.includes('service') ?? false;
  return {
    token,
    isAdmin: token.roles.includes('admin'),
    hasServiceRole: isServiceRequest || token.roles.includes('service'),
    isServiceRequest,
  };
}
