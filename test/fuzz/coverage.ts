import { Session, type Profiler } from 'node:inspector/promises';
import type { Corpus } from './corpus.js';
import type { Run } from './target.js';

/** Inputs between two looks at the counters, which take some milliseconds. */
const BATCH = 100;

/** Guides a campaign: inputs that reach blocks of our own code which none reached before are kept in the corpus. */
export class Coverage {
  readonly #session = new Session();
  readonly #seen = new Set<string>();
  readonly #corpus: Corpus;
  readonly #run: Run;
  #batch: Buffer[] = [];

  constructor(corpus: Corpus, run: Run) {
    this.#corpus = corpus;
    this.#run = run;
  }

  async start(): Promise<void> {
    this.#session.connect();
    await this.#session.post('Profiler.enable');
    await this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  get blocks(): number {
    return this.#seen.size;
  }

  /** An input was run. */
  async ran(input: Buffer): Promise<void> {
    this.#batch.push(input);
    if (this.#batch.length < BATCH) return;
    const batch = this.#batch;
    this.#batch = [];
    const fresh = (await this.#take()).filter((block) => !this.#seen.has(block));
    if (fresh.length > 0) await this.#keep(batch, new Set(fresh));
  }

  async stop(): Promise<void> {
    await this.#session.post('Profiler.stopPreciseCoverage');
    this.#session.disconnect();
  }

  /** Which of them it was is found by running each again. */
  async #keep(batch: readonly Buffer[], fresh: Set<string>): Promise<void> {
    for (const block of fresh) this.#seen.add(block);
    for (const input of batch) {
      if (fresh.size === 0) return;
      await this.#run(input);
      const reached = (await this.#take()).filter((block) => fresh.delete(block));
      if (reached.length > 0) this.#corpus.add(input);
    }
  }

  /** The blocks that ran since the last call. */
  async #take(): Promise<readonly string[]> {
    const { result } = await this.#session.post('Profiler.takePreciseCoverage');
    return result.filter(({ url }) => url.includes('/dist/src/')).flatMap(blocksOf);
  }
}

function blocksOf({ scriptId, functions }: Profiler.ScriptCoverage): readonly string[] {
  return functions.flatMap(({ ranges }) =>
    ranges
      .filter(({ count }) => count > 0)
      .map(({ startOffset, endOffset }) => `${scriptId}:${startOffset}:${endOffset}`),
  );
}
