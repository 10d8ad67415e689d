/** What a log line shows of the fields it was given: an allow-list for errors, no secret by name, at any depth. */
import { CinderfsError } from '../errors.js';

const HIDDEN = '[redacted]';
const DEPTH = 8;
const TEXT_LIMIT = 4096;
const CAUSES = 5;

/** Whatever a layer may put in a field by mistake: these never reach a sink. The values that are known go by value. */
const SECRET_NAME =
  /(^|[_-])(auth_username|(\w*_)?(password|passwd|secret|token|keyring)|x-[\w-]*token|connection_?info|environ?|env)$|(Password|Secret|Token|Keyring)$/i;

/** A copy of `fields` as they are logged. Never throws. */
export function loggable(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return members(Object.entries(fields), []);
}

function shown(value: unknown, above: readonly object[]): unknown {
  if (typeof value !== 'object' || value === null) return plain(value);
  if (above.includes(value) || above.length >= DEPTH) return '...';
  if (value instanceof Error || CinderfsError.is(value)) return errorShown(value, 0);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  const within = [...above, value];
  if (hasToJson(value)) return shown(value.toJSON(), within);
  if (Array.isArray(value) || value instanceof Set) return [...value].map((item) => shown(item, within));
  if (value instanceof Map)
    return members(
      [...value].map(([key, item]) => [String(key), item]),
      within,
    );
  return members(Object.entries(value), within);
}

function plain(value: unknown): unknown {
  if (typeof value === 'string') return value.length > TEXT_LIMIT ? `${value.slice(0, TEXT_LIMIT)}…` : value;
  return ['bigint', 'symbol', 'function'].includes(typeof value) ? String(value) : value;
}

function members(entries: readonly [string, unknown][], above: readonly object[]): Record<string, unknown> {
  return Object.fromEntries(
    entries.map(([key, value]) => [key, SECRET_NAME.test(key) ? HIDDEN : shown(value, above)]),
  );
}

/**
 * Of an error of ours its code, message and where it happened; of any other its name, code and message. Its causes the
 * same way, and nothing else: errors of other programs carry command lines, environments and whole requests.
 */
function errorShown(error: unknown, depth: number): unknown {
  if (depth >= CAUSES) return '...';
  const cause = (error as { cause?: unknown }).cause;
  const below = cause === undefined ? {} : { cause: errorShown(cause, depth + 1) };
  if (CinderfsError.is(error)) {
    const { image, volume, attachment, host, path, requestId, status } = error.context;
    const where = { image, volume, attachment, host, path, request_id: requestId, status };
    return { code: error.code, message: shown(error.message, []), ...where, ...stackOf(error), ...below };
  }
  if (!(error instanceof Error)) return shown(typeof error === 'object' ? '(no error)' : error, []);
  const parts = error instanceof AggregateError ? (error.errors as unknown[]).slice(0, CAUSES) : [];
  const { name, code, message, shortMessage } = error as Error & { code?: unknown; shortMessage?: unknown };
  return {
    name,
    ...(typeof code === 'string' ? { code } : {}),
    message: shown(typeof shortMessage === 'string' ? shortMessage : message, []),
    ...stackOf(error),
    ...(parts.length === 0 ? {} : { errors: parts.map((part) => errorShown(part, depth + 1)) }),
    ...below,
  };
}

/** Only of bugs: where an error of ours happened says its code. Frames alone; the message stands beside them. */
function stackOf(error: Error): { readonly stack?: string } {
  if (CinderfsError.is(error) && error.code !== 'internal') return {};
  const frames = error.stack?.split('\n').filter((line) => /^\s+at /.test(line)) ?? [];
  return frames.length === 0 ? {} : { stack: frames.map((line) => line.trim()).join('; ') };
}

function hasToJson(value: object): value is { toJSON(): unknown } {
  return 'toJSON' in value && typeof value.toJSON === 'function';
}
