import { CinderfsError, type ErrorCode, reasonOf } from '../../errors.js';

/** The last failure to open or read each image, until an open of it succeeds. */
export class LastErrors {
  readonly #lines = new Map<string, string>();

  get(imageId: string): string | undefined {
    return this.#lines.get(imageId);
  }

  list(): readonly { readonly imageId: string; readonly line: string }[] {
    return [...this.#lines].map(([imageId, line]) => ({ imageId, line }));
  }

  note(imageId: string, error: CinderfsError): void {
    this.#lines.set(imageId, failureLine(error));
  }

  forget(imageId: string): void {
    this.#lines.delete(imageId);
  }

  /** Forgets the other images. */
  keepOnly(wanted: (imageId: string) => boolean): void {
    for (const imageId of this.#lines.keys()) if (!wanted(imageId)) this.forget(imageId);
  }
}

/**
 * Errors whose message is made here, word by word. What OpenStack, a driver or a command said is in the messages of all
 * others: it can hold addresses and secrets of the storage, and what reads this line is not only root.
 */
const OWN_WORDS: ReadonlySet<string> = new Set<ErrorCode>([
  'attach_timeout',
  'draining',
  'http_timeout',
  'identity_mismatch',
  'image_changed',
  'interrupted',
  'journal_failed',
  'owner_exists',
  'protocol_unsupported',
  'read_failed',
  'read_timeout',
  'too_many_attachments',
  'too_many_handles',
]);

/**
 * One line for users: the errno that the reader got, what failed and where, and the request to look up. What a service
 * said of it is in the log.
 */
export function failureLine(error: CinderfsError): string {
  const causes = causesOf(error);
  const requestId = causes.map(requestIdOf).find((id) => id !== undefined);
  const own = OWN_WORDS.has(error.code);
  const told = own
    ? error
    : new CinderfsError(error.code, plain(error.code), { ...error.context, remedy: undefined });
  const cause = causes.slice(1).map(causeInPlainWords).at(-1);
  const because = cause === undefined || told.message.includes(cause) ? '' : ` Cause: ${cause}.`;
  return `${error.errno}: ${told.within({ requestId }).toLine()}${because}`;
}

/** A cause with a text from outside is named by its code. */
function causeInPlainWords(cause: unknown): string | undefined {
  if (!CinderfsError.is(cause)) return systemCodeOf(cause);
  return OWN_WORDS.has(cause.code) ? reasonOf(cause) : plain(cause.code);
}

function plain(code: ErrorCode): string {
  return code.replaceAll('_', ' ');
}

/** The code of a system error (ENOSPC), whose message is Node's or libc's. */
function systemCodeOf(thrown: unknown): string | undefined {
  const code = (thrown as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[A-Z][A-Z0-9]{2,20}$/.test(code) ? code : undefined;
}

/** The error and what it came from, outermost first. */
function causesOf(error: unknown): readonly unknown[] {
  const causes: unknown[] = [];
  // A cause that is its own cause must not hang the daemon.
  for (let at: unknown = error; at !== undefined && !causes.includes(at);) {
    causes.push(at);
    at = at instanceof Error ? at.cause : undefined;
  }
  return causes;
}

function requestIdOf(error: unknown): string | undefined {
  return (error as { context?: { requestId?: string } } | null)?.context?.requestId;
}
