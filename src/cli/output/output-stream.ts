import type { Writable } from 'node:stream';
import { CinderfsError, reasonOf } from '../../errors.js';
import { printable } from '../../printable.js';

/** What a shell shows for a program that SIGPIPE ended. */
const READER_LEFT = 141;

/**
 * stdout or stderr of a command, and the one place that writes there: nothing that moves a terminal's cursor passes,
 * nothing is lost when the process ends, and a reader that went away (`cinderfs images | head`) is no error of ours.
 */
export class OutputStream {
  readonly #stream: Writable;
  #failure: Error | undefined;

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on('error', (error) => {
      this.#failure ??= error;
    });
  }

  /** Takes `text`; what becomes of it shows in drained(). Never throws. */
  write(text: string): void {
    if (this.#failure !== undefined) return;
    try {
      this.#stream.write(printable(text));
    } catch (error) {
      // A file is written at once.
      this.#failure = error as Error;
    }
  }

  /** Resolves when the reader has taken everything, however slowly, or cannot take more. Never rejects. */
  async drained(): Promise<void> {
    if (this.#failure !== undefined) return;
    await new Promise<void>((resolve) => {
      this.#stream.once('error', () => resolve());
      this.#stream.write('', () => resolve());
    });
  }

  /** The exit status of a command that would end with `status`, had all its output arrived; `complain` hears why not. */
  statusOf(status: number, complain: (error: CinderfsError) => void): number {
    if (this.#failure === undefined || status !== 0) return status;
    if ((this.#failure as NodeJS.ErrnoException).code === 'EPIPE') return READER_LEFT;
    const error = new CinderfsError('output_failed', `cannot write the output: ${reasonOf(this.#failure)}`, {
      cause: this.#failure,
    });
    complain(error);
    return error.kind.exit;
  }
}
