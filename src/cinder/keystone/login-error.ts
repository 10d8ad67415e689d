/** The error of a failed login: the user, the project, and Keystone's own words. */
import type { CloudConfig } from '../../config/cloud-config.js';
import { CinderfsError, reasonOf } from '../../errors.js';
import { knownSecrets } from '../../known-secrets.js';
import { headerOf, type HttpAnswer } from '../http/exchange.js';
import { isRecord } from '../http/wire.js';

/** Statuses with which Keystone refuses a login. */
export const REFUSALS: readonly number[] = [401, 403];

const MOST_WORDS = 400;

/** `answer` is a refusal. */
export function refusedLogin(answer: HttpAnswer, cloud: CloudConfig): CinderfsError {
  const factors = missingFactors(answer);
  const said =
    factors === undefined ? wordsOf(answer.body) : `it wants ${factors}, and a daemon cannot enter them`;
  return new CinderfsError(
    'auth_failed',
    `Keystone at ${cloud.authUrl} refused ${identityOf(cloud)} (cloud '${cloud.name}')${said === '' ? '' : `: ${said}`}`,
    {
      status: answer.status,
      requestId: answer.requestId,
      remedy: factors === undefined ? undefined : 'Log in with an application credential.',
    },
  );
}

/** Of a login that was not answered, or not as Keystone answers. */
export function failedLogin(error: CinderfsError, cloud: CloudConfig): CinderfsError {
  const { status, requestId, remedy } = error.context;
  const context = { status, requestId, remedy, cause: error };
  if (status !== undefined && REFUSALS.includes(status)) {
    const what = `Keystone at ${cloud.authUrl} refused ${identityOf(cloud)} (cloud '${cloud.name}'): ${error.message}`;
    return new CinderfsError('auth_failed', what, context);
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

/** A token of a minute ago that a service does not take: openstack token issue works, and does not help. */
export function refusedToken(error: CinderfsError, service: string, cloud: CloudConfig): CinderfsError {
  return new CinderfsError(
    'auth_failed',
    `Keystone accepted ${identityOf(cloud)}, but ${service} refused the new token: ${error.message}`,
    {
      ...error.context,
      cause: error,
      remedy: `Check the access rules of the application credential, if it has any, and [keystone_authtoken] of ${service}: it must be able to validate tokens.`,
    },
  );
}

export function identityOf({ auth }: CloudConfig): string {
  if (auth.method === 'application_credential') {
    const { credential } = auth;
    return `application credential ${'id' in credential ? credential.id : credential.name}`;
  }
  const nameOf = (reference: { id: string } | { name: string }): string =>
    'id' in reference ? reference.id : reference.name;
  return `user '${nameOf(auth.user)}' in project '${nameOf(auth.project)}'`;
}

/** With a receipt Keystone says: so far right, now the next factor. */
function missingFactors({ headers, body }: HttpAnswer): string | undefined {
  const receipt = headerOf(headers, 'openstack-auth-receipt') !== undefined;
  const wanted = isRecord(body) ? body.required_auth_methods : undefined;
  if (!receipt && wanted === undefined) return undefined;
  const ways: unknown[] = Array.isArray(wanted) ? wanted : [];
  const named = ways
    .filter(Array.isArray)
    .map((methods: unknown[]) => methods.map((method) => plain(String(method))).join(' and '));
  return named.length === 0 ? 'more than one factor' : named.join(' or ');
}

function wordsOf(body: unknown): string {
  const error = isRecord(body) ? body.error : undefined;
  return isRecord(error) && typeof error.message === 'string' ? plain(error.message) : '';
}

/** On one line, without what this process knows to be secret. */
function plain(text: string): string {
  return knownSecrets.hide(reasonOf(text)).slice(0, MOST_WORDS);
}
