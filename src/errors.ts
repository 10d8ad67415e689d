import { knownSecrets } from './known-secrets.js';
import { printableLine } from './printable.js';
import { inspect } from 'node:util';
import { ERROR_KINDS, type ErrorCode, type ErrorKind } from './error-kinds.js';
import type { Errno } from './errno-names.js';

export { ERROR_KINDS, type ErrorCode, type ErrorKind } from './error-kinds.js';
export type { Errno } from './errno-names.js';
export { EXIT } from './exit-status.js';

/** Where an error happened; every field that is known is filled in. Never a secret. */
export interface ErrorContext {
  readonly image?: string | undefined;
  readonly volume?: string | undefined;
  readonly attachment?: string | undefined;
  readonly host?: string | undefined;
  readonly path?: string | undefined;
  /** OpenStack request id (`req-...`) of the call that failed. */
  readonly requestId?: string | undefined;
  /** HTTP status of the call that failed. */
  readonly status?: number | undefined;
  /** The call never reached its service: no connection was made. */
  readonly unsent?: true | undefined;
  /** Replaces the table's remedy where this error knows better. */
  readonly remedy?: string | undefined;
  readonly cause?: unknown;
}

const BRAND = Symbol.for('cinderfs.error');

/** The one error type that crosses layers. `message` says what failed and why, in one line, without the remedy. */
export class CinderfsError extends Error {
  override readonly name = 'CinderfsError';
  readonly [BRAND] = true;
  readonly code: ErrorCode;
  readonly context: ErrorContext;

  constructor(code: ErrorCode, message: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.code = code;
    this.context = context;
  }

  get kind(): ErrorKind {
    // The daemon of another version may know a code that this one does not.
    return Object.hasOwn(ERROR_KINDS, this.code) ? ERROR_KINDS[this.code] : ERROR_KINDS.internal;
  }

  get errno(): Errno {
    return this.kind.errno;
  }

  get remedy(): string {
    return this.context.remedy ?? this.kind.remedy;
  }

  /** True for any CinderfsError, also one from another copy of this module (worker threads, tests). */
  static is(value: unknown): value is CinderfsError {
    return typeof value === 'object' && value !== null && BRAND in value;
  }

  /** Wraps whatever was thrown; a CinderfsError passes through unchanged. */
  static from(value: unknown, code: ErrorCode = 'internal', context: ErrorContext = {}): CinderfsError {
    if (CinderfsError.is(value)) return value;
    return new CinderfsError(code, reasonOf(value), { ...context, cause: value });
  }

  /** The same error, its context filled up by what the caller knows of where it happened. */
  within(where: ErrorContext): CinderfsError {
    const known = Object.fromEntries(Object.entries(this.context).filter(([, value]) => value !== undefined));
    const located = new CinderfsError(this.code, this.message, { ...where, ...known });
    if (this.stack !== undefined) located.stack = this.stack;
    return located;
  }

  /** One line an operator can act on: what, where, why, what to do. Safe for a terminal, whatever the message quotes. */
  toLine(): string {
    const { image, volume, attachment, requestId } = this.context;
    const where = Object.entries({ image, volume, attachment, request: requestId })
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => `${key} ${String(value)}`);
    const what = `${this.message}${where.length > 0 ? ` (${where.join(', ')})` : ''}`;
    // A question ("did you mean 'mount'?") ends in its own mark.
    const line = `${what}${/[?!.]$/.test(what) ? '' : '.'} ${this.remedy} [${this.code}]`;
    return printableLine(knownSecrets.hide(line));
  }
}

/** The message of anything that can be thrown, on one line. */
export function reasonOf(thrown: unknown): string {
  return textOf(thrown).replace(/\s+/g, ' ').trim();
}

/** Other processes answer with plain objects: `{ code, message }`. */
function textOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message || thrown.name;
  if (typeof thrown !== 'object' || thrown === null) return String(thrown);
  const { message, code } = thrown as { readonly message?: unknown; readonly code?: unknown };
  const told = [message, code].find((text) => typeof text === 'string' && text !== '');
  return typeof told === 'string' ? told : inspect(thrown, { depth: 1, breakLength: Infinity });
}
