/** What has been acquired so far, undone in reverse order. Every step runs, also when one before it failed. */
export class Cleanup {
  readonly #steps: { readonly what: string; readonly undo: () => unknown }[] = [];
  #running: Promise<readonly CleanupFailure[]> | undefined;

  /** Registers how to undo what was just acquired. */
  defer(what: string, undo: () => unknown): void {
    this.#steps.push({ what, undo });
  }

  /** Undoes everything once; later calls get the same answer. Never rejects: failures are returned. */
  run(): Promise<readonly CleanupFailure[]> {
    this.#running ??= this.#undoAll();
    return this.#running;
  }

  async #undoAll(): Promise<readonly CleanupFailure[]> {
    const failures: CleanupFailure[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step.undo();
      } catch (error) {
        failures.push({ what: step.what, error });
      }
    }
    return failures;
  }
}

export interface CleanupFailure {
  readonly what: string;
  readonly error: unknown;
}
