import type { SourceReader } from './contract/reader.js';
import type { ImageExtent, Source } from './contract/source.js';

export type OpenReader = (source: Source, image: ImageExtent) => Promise<SourceReader>;

/** What is to be read. */
export interface WantedReader extends ImageExtent {
  readonly source: Source;
  /** Of which attachment the source is, and through which of its connections. */
  readonly attachmentId: string;
  readonly connection: number;
}

/** A handle's share in a reader. */
export interface ReaderClaim {
  readonly reader: SourceReader;
  /** Idempotent; the last claim closes the reader. */
  release(): void;
}

/** One reader per connection of an attachment and image size, shared by all handles, closed with the last of them. */
export class ReaderPool {
  readonly #open: OpenReader;
  readonly #shared = new Map<string, { readonly opening: Promise<SourceReader>; claims: number }>();

  constructor(open: OpenReader) {
    this.#open = open;
  }

  get size(): number {
    return this.#shared.size;
  }

  /** Joins the reader there is, or opens it. A reader that failed to open is forgotten: the next opener tries again. */
  async claim({ source, attachmentId, connection, volume, size }: WantedReader): Promise<ReaderClaim> {
    const key = `${attachmentId} ${connection} ${size}`;
    const entry = this.#shared.get(key) ?? { opening: this.#open(source, { volume, size }), claims: 0 };
    this.#shared.set(key, entry);
    entry.claims += 1;
    const forget = (): void => {
      if (this.#shared.get(key) === entry) this.#shared.delete(key);
    };
    try {
      const reader = await entry.opening;
      let held = true;
      const release = (): void => {
        if (!held) return;
        held = false;
        entry.claims -= 1;
        // A broken reader is not handed to the next open, which gets a new attachment and so a new reader.
        if (reader.broken || entry.claims === 0) forget();
        if (entry.claims === 0) reader.close();
      };
      return { reader, release };
    } catch (error) {
      entry.claims -= 1;
      forget();
      throw error;
    }
  }
}
