import { CinderfsError, reasonOf } from '../../errors.js';
import type { AttachContext } from '../context/context.js';
import { failureLine } from './last-errors.js';

/** What went wrong with one volume: counted, logged, and the last of it kept for reports. */
export class Failures {
  readonly #context: Pick<AttachContext, 'counters' | 'log'>;
  #last: CinderfsError | undefined;

  constructor(context: Pick<AttachContext, 'counters' | 'log'>) {
    this.#context = context;
  }

  get last(): CinderfsError | undefined {
    return this.#last;
  }

  /** See failureLine(). */
  get lastLine(): string | undefined {
    return this.#last === undefined ? undefined : failureLine(this.#last);
  }

  /** Keeps what another process has told the operator. */
  note(error: CinderfsError): void {
    this.#last = error;
  }

  /** Tells the operator; returns the error for the waiters. */
  tell(thrown: unknown, where: { readonly image: string; readonly volume: string }): CinderfsError {
    const error = CinderfsError.from(thrown).within(where);
    const { counters, log } = this.#context;
    this.#last = error;
    counters.identity_mismatches += Number(error.code === 'identity_mismatch');
    log[error.kind.level]({ ...error.context, cause: reasonOf(error.cause) }, error.toLine());
    return error;
  }
}
