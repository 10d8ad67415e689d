import { backoffDelay } from '../../async/backoff.js';
import { sleep } from '../../async/clock.js';
import type { AttachContext } from '../context/context.js';
import { undo } from '../cleanup/undo.js';

/** At first soon: most failures are a service that is just being restarted. */
const RETRY = { baseMs: 1_000, capMs: 30_000 };

/**
 * Undoes what the journal has of a volume, again and again until nothing is left. The record stays until then, and with
 * it our claim: giving up would leave a volume that no host can use.
 */
export class Detaching {
  /** True when the first try removed everything. Never rejects. */
  readonly firstTry: Promise<boolean>;
  /** True when everything is removed, false when `end` came first. Never rejects. */
  readonly done: Promise<boolean>;
  readonly #volumeId: string;
  readonly #context: AttachContext;
  readonly #end: AbortSignal;
  readonly #onFailure: (error: unknown) => void;
  #pause = new AbortController();
  #retrying = false;

  /** `before` is host work that must end first. */
  constructor(
    volumeId: string,
    context: AttachContext,
    end: AbortSignal,
    onFailure: (error: unknown) => void,
    before: Promise<void>,
  ) {
    this.#volumeId = volumeId;
    this.#context = context;
    this.#end = end;
    this.#onFailure = onFailure;
    this.firstTry = before.then(() => this.#try());
    this.done = this.#untilDone();
  }

  /** The last try failed. */
  get retrying(): boolean {
    return this.#retrying;
  }

  /** Tries now instead of after the pause: an open wants the volume. */
  hurry(): void {
    this.#pause.abort();
  }

  async #untilDone(): Promise<boolean> {
    let done = await this.firstTry;
    for (let attempt = 0; !done; attempt++) {
      this.#pause = new AbortController();
      const delay = backoffDelay(RETRY, attempt, this.#context.random);
      // A pause that was cut short is as good as over.
      await sleep(this.#context.clock, delay, this.#pause.signal).catch(() => undefined);
      if (this.#end.aborted) return false;
      done = await this.#try();
    }
    return true;
  }

  async #try(): Promise<boolean> {
    try {
      const record = this.#context.journal.get(this.#volumeId);
      if (record !== undefined) await undo(record, this.#context, this.#end);
      this.#retrying = false;
      this.#context.counters.detaches++;
      return true;
    } catch (error) {
      this.#retrying = true;
      this.#context.counters.detach_failures++;
      if (!this.#end.aborted) this.#onFailure(error);
      return false;
    }
  }
}
