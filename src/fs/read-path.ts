import { CinderfsError } from '../errors.js';
import type { ReaderClaim } from '../sources/reader-pool.js';
import type { Cursor, SourceReader } from '../sources/contract/reader.js';

/** A reader that was claimed, and one handle's view of it. */
export interface OpenedPath {
  readonly reader: SourceReader;
  readonly cursor: Cursor;
}

interface Claimed extends OpenedPath {
  readonly claim: ReaderClaim;
}

/**
 * How a handle reads through one of its lease's connections: the reader is claimed when it is first asked for, because
 * most files are read by the transport itself. Owns the claim; close() gives it back, also one that is still on its way.
 */
export class ReadPath {
  /** Which of the lease's connections it is. */
  readonly connection: number;
  readonly #claim: () => Promise<ReaderClaim>;
  #opening: Promise<Claimed> | undefined;
  #claimed: Claimed | undefined;
  #unreadable = false;
  #closed = false;

  constructor(connection: number, claim: () => Promise<ReaderClaim>) {
    this.connection = connection;
    this.#claim = claim;
  }

  /**
   * The reader, shared by all callers. One that could not be claimed is tried again by the next call.
   *
   * @throws CinderfsError `read_failed` when the source cannot be opened; `bad_handle` after close().
   */
  open(): Promise<OpenedPath> {
    if (this.#closed) return Promise.reject(closed());
    this.#opening ??= this.#open();
    return this.#opening;
  }

  /** The source could not be opened, or has failed in a way that only a new attachment can cure. */
  get broken(): boolean {
    return this.#unreadable || this.#claimed?.reader.broken === true;
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true;
    const claimed = this.#claimed;
    this.#claimed = undefined;
    if (claimed === undefined) return;
    claimed.cursor.close();
    claimed.claim.release();
  }

  async #open(): Promise<Claimed> {
    try {
      const claim = await this.#claim();
      const { reader } = claim;
      const claimed = { claim, reader, cursor: reader.cursor() };
      this.#claimed = claimed;
      this.#unreadable = false;
      if (!this.#closed) return claimed;
      this.close();
      throw closed();
    } catch (error) {
      this.#opening = undefined;
      this.#unreadable = CinderfsError.is(error) && error.code === 'read_failed';
      throw error;
    }
  }
}

function closed(): CinderfsError {
  return new CinderfsError('bad_handle', 'the file was closed');
}
