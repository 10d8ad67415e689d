import { type CinderfsError, reasonOf } from '../../errors.js';

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

/** One line: the errno that the reader got, what failed and where, what caused it, and the request to look up. */
export function failureLine(error: CinderfsError): string {
  const causes = causesOf(error);
  const requestId = causes.map(requestIdOf).find((id) => id !== undefined);
  const cause = causes.slice(1).map(reasonOf).at(-1);
  const told = cause === undefined || error.message.includes(cause) ? '' : ` Cause: ${cause}.`;
  return `${error.errno}: ${error.within({ requestId }).toLine()}${told}`;
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
