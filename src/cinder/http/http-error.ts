/** What a failed call becomes: which service, which call, what it said, its request id; never a secret. */
import { CinderfsError, reasonOf, type ErrorCode } from '../../errors.js';
import { knownSecrets } from '../../known-secrets.js';
import type { HttpRequest, RawAnswer } from './exchange.js';
import { parseJson } from './json-text.js';
import { isRecord } from './wire.js';

const CODES: Readonly<Record<number, ErrorCode>> = {
  401: 'auth_failed',
  403: 'forbidden',
  404: 'not_found',
  409: 'conflict',
};

/** Overload and gateways; 500 too: Cinder and Keystone answer it for a lost database or message. */
const RETRIABLE = new Set([429, 500, 502, 503, 504]);

export function isRetriableStatus(status: number): boolean {
  return RETRIABLE.has(status);
}

export function errorOfAnswer(request: HttpRequest, answer: RawAnswer): CinderfsError {
  const said = messageOf(answer.text);
  const what = `${describe(request)} answered ${answer.status}${said === '' ? '' : `: ${said}`}`;
  return new CinderfsError(CODES[answer.status] ?? 'http_failed', what, {
    requestId: answer.requestId,
    status: answer.status,
  });
}

export function errorOfNetwork(request: HttpRequest, thrown: unknown, requestId: string): CinderfsError {
  const { origin } = new URL(request.url);
  const what = `${describe(request)} at ${origin} failed: ${reasonOfNetwork(thrown)}`;
  const remedy = isCertificateFault(thrown) ? CERTIFICATE_REMEDY : undefined;
  const unsent = neverLeft(thrown) || undefined;
  // An id that no server saw is in no log.
  const seen = unsent === true || isCertificateFault(thrown) ? undefined : requestId;
  return new CinderfsError('http_failed', what, { requestId: seen, remedy, unsent, cause: thrown });
}

const CERTIFICATE_REMEDY =
  'Set cacert in clouds.yaml (or OS_CACERT) to the authority that signed the certificate of the service.';

/** OpenSSL's and Node's names for a certificate that is not trusted, not valid or not for this host. */
function isCertificateFault(thrown: unknown): boolean {
  return causes(thrown).some((error) => /CERT|UNABLE_TO_(GET|VERIFY)/.test(codeOf(error) ?? ''));
}

/** True if the request cannot have reached the service: no connection was made. */
export function neverLeft(thrown: unknown): boolean {
  return causes(thrown).some((error) =>
    [
      'ECONNREFUSED',
      'ENOTFOUND',
      'EAI_AGAIN',
      'EHOSTUNREACH',
      'ENETUNREACH',
      'UND_ERR_CONNECT_TIMEOUT',
    ].includes(codeOf(error) ?? ''),
  );
}

/** True if another attempt would end the same: the answer is too large, we are closed, the certificate is bad. */
export function isFinal(thrown: unknown): boolean {
  if (isCertificateFault(thrown)) return true;
  return ['UND_ERR_DESTROYED', 'UND_ERR_CLOSED', 'UND_ERR_INVALID_ARG'].includes(codeOf(thrown) ?? '');
}

/** "Cinder: POST /v3/attachments": without the project id and the query, which say nothing to a reader. */
export function describe({ service, method, url }: HttpRequest): string {
  return `${service}: ${method} ${new URL(url).pathname.replace(/\/[0-9a-f]{32}(?=\/)/, '')}`;
}

function reasonOfNetwork(thrown: unknown): string {
  const [first, ...rest] = causes(thrown);
  const known = [first, ...rest].map((error) => [codeOf(error), reasonOf(error)] as const);
  const [code, reason] = known.at(-1) ?? [undefined, 'unknown reason'];
  return code === undefined || reason.includes(code) ? reason : `${reason} (${code})`;
}

/** The error, what caused it, and the parts of an AggregateError (one per address tried). */
function causes(thrown: unknown): unknown[] {
  if (!(thrown instanceof Error)) return [thrown];
  const parts: unknown[] = thrown instanceof AggregateError ? (thrown.errors as unknown[]) : [];
  const below = thrown.cause === undefined ? [] : causes(thrown.cause);
  return [thrown, ...below, ...parts.flatMap(causes)];
}

function codeOf(error: unknown): string | undefined {
  return isRecord(error) && typeof error.code === 'string' ? error.code : undefined;
}

/**
 * The message of Cinder's {"badRequest": {"message"}}, Glance's {"message"} (with HTML in it), Keystone's
 * {"error": {"message"}}, or the start of whatever else a proxy says.
 */
function messageOf(text: string): string {
  const said = findMessage(parse(text)) ?? text;
  return redact(plain(said.slice(0, MOST_RAW))).slice(0, 400);
}

/**
 * Characters that patterns are tried on: their time grows with the square of them. A page of HTML begins with much that
 * no reader needs; of what is left only the beginning is told.
 */
const MOST_RAW = 16 * 1024;
const MOST_REDACTED = 4 * 1024;

function parse(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return undefined;
  }
}

function findMessage(body: unknown): string | undefined {
  if (!isRecord(body)) return undefined;
  if (typeof body.message === 'string') return body.message;
  const inner = Object.values(body).find((value) => isRecord(value) && typeof value.message === 'string');
  return isRecord(inner) ? String(inner.message) : undefined;
}

function plain(text: string): string {
  return text
    .replace(/<(script|style|head)[^]*?<\/\1>/gi, ' ')
    .replace(/<[^>]{1,200}>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
}

/**
 * Services quote what they were sent: schema errors show whole bodies, drivers whole command lines. The secrets that
 * this process knows are taken out by value; what only looks like one (another's, a driver's own), by these patterns.
 */
function redact(text: string): string {
  return knownSecrets
    .hide(text)
    .slice(0, MOST_REDACTED)
    .replace(NAMED_SECRET, '$1<redacted>')
    .replace(/((?:^|\s)(?:-v|--\w*(?:password|secret|token|key))[ =])\S+/gi, '$1<redacted>')
    .replace(/(X-[\w-]*Token\W{1,5})[^'",\s]+/gi, '$1<redacted>')
    .replace(/gAAAA[\w-]{20,}={0,2}/g, '<redacted>');
}

/** A name, a colon or an equals sign, and a value: quoted as JSON, Python (u'...') or a shell do it, or a bare word. */
const NAMED_SECRET =
  /((?:(?:password|passwd|passphrase|secret|token|auth_key|keyring)\w*|\b(?:key|value))\\?['"]?\s*[:=]\s*)(?:\\?u?"(?:\\.|[^"\\])*\\?"|\\?u?'(?:\\.|[^'\\])*\\?'|[^'",}\s]+)/gi;
