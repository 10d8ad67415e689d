/** A test, a suite or an Undo: what has steps that run when it is over. */
export interface Teardown {
  after(step: () => unknown): void;
}

/** What a test has set up, taken down in reverse order when it is over (node:test runs its own hooks first to last). */
export class Undo {
  readonly #steps: (() => unknown)[] = [];

  constructor(test: { after: (undo: () => Promise<unknown>) => void }) {
    test.after(() => this.run());
  }

  after(step: () => unknown): void {
    this.#steps.push(step);
  }

  /** Runs every step, also after one that failed; then throws the first failure. */
  async run(): Promise<void> {
    const failures: unknown[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
