import type { SourceReader } from './contract/reader.js';
import type { ReaderServices } from './contract/reader-services.js';
import type { ImageExtent, Source, SourceKind } from './contract/source.js';

/** The kinds of source of this process, each known by its index. */
export class SourceKinds {
  readonly all: readonly SourceKind[];
  readonly #indexes: ReadonlyMap<string, number>;

  constructor(kinds: readonly SourceKind[]) {
    this.all = kinds;
    this.#indexes = new Map(kinds.map(({ key }, index) => [key, index]));
  }

  /** A small integer: what worker threads know a kind by. */
  indexOf({ kind }: Source): number {
    const index = this.#indexes.get(kind);
    if (index === undefined) throw new Error(`no kind of source is registered as ${kind}`);
    return index;
  }

  of(source: Source): SourceKind {
    const kind = this.all[this.indexOf(source)];
    if (kind === undefined) throw new Error('indexOf names a kind');
    return kind;
  }

  describe(source: Source): string {
    return this.of(source).describe(source);
  }

  openReader(source: Source, image: ImageExtent, services: ReaderServices): Promise<SourceReader> {
    return this.of(source).openReader(source, image, services);
  }

  /** See SourceKind.publishOpens. */
  publishOpens(source: Source): boolean {
    return this.of(source).publishOpens === true;
  }

  needsProof(source: Source): boolean {
    return this.of(source).needsProof?.(source) === true;
  }

  /** How it is served by the main thread, for `cinderfs status`. */
  servedAs(source: Source): string {
    return this.of(source).pageCached ? 'read' : source.kind;
  }
}
