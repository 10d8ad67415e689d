import type { DirectoryEntry } from '../../contract/filesystem.js';
import { entryFields, entryType } from '../protocol/attributes.js';
import type { DirectorySnapshots, ListedEntry } from './directory-snapshots.js';
import { DIRENT, ENTRY_OUT } from '../protocol/messages.js';

/** What one READDIR or READDIRPLUS answers with. */
export interface DirectoryPage {
  readonly bytes: Buffer;
  /** Entries that the kernel now holds a reference to (READDIRPLUS only). */
  readonly looked: readonly number[];
}

/**
 * One open directory: the entries as they were when its reading began, so that a catalog that changes meanwhile
 * neither repeats nor skips one. Rewinding takes a new snapshot. All streams share their snapshots.
 */
export class DirectoryStream {
  readonly node: number;
  /** The uid that opened it. */
  readonly uid: number;
  readonly #snapshots: DirectorySnapshots;
  #entries: WeakRef<readonly DirectoryEntry[]> | undefined;

  constructor(node: number, uid: number, snapshots: DirectorySnapshots) {
    this.node = node;
    this.uid = uid;
    this.#snapshots = snapshots;
  }

  /** True when the next page needs a fresh snapshot. */
  needsSnapshot(offset: number): boolean {
    return offset === 0 || this.#items === undefined;
  }

  take(entries: readonly DirectoryEntry[]): void {
    this.#snapshots.keep(entries);
    this.#entries = new WeakRef(entries);
  }

  get #items(): readonly ListedEntry[] | undefined {
    const entries = this.#entries?.deref();
    return entries === undefined ? undefined : this.#snapshots.of(entries);
  }

  /** Entries from `offset` on, as many as fit in `room` bytes; `plusTtl` (seconds) makes it READDIRPLUS. */
  page(offset: number, room: number, plusTtl?: number): DirectoryPage {
    const bytes = Buffer.alloc(room);
    const looked: number[] = [];
    const items = this.#items ?? [];
    let used = 0;
    for (let index = offset; ; index += 1) {
      const item = at(items, index);
      if (item === undefined) break;
      const direntAt = used + (plusTtl === undefined ? 0 : ENTRY_OUT.size);
      const end = direntAt + align8(DIRENT.size + item.name.length);
      if (end > room) break;
      if (plusTtl !== undefined && item.entry !== undefined) {
        ENTRY_OUT.encodeInto(bytes, used, entryFields(item.entry.attributes, plusTtl));
        looked.push(item.entry.attributes.node);
      }
      DIRENT.encodeInto(bytes, direntAt, {
        ino: item.entry?.attributes.node ?? this.node,
        off: index + 1,
        namelen: item.name.length,
        type: entryType(item.entry?.attributes.kind ?? 'directory'),
      });
      item.name.copy(bytes, direntAt + DIRENT.size);
      used = end;
    }
    return { bytes: bytes.subarray(0, used), looked };
  }
}

/** `.` and `..` come first and carry no entry: the kernel takes a node id of 0 as "do not look this one up". */
function at(
  items: readonly ListedEntry[],
  index: number,
): { readonly name: Buffer; readonly entry?: DirectoryEntry } | undefined {
  const dots = DOTS[index];
  return dots === undefined ? items[index - DOTS.length] : { name: dots };
}

const DOTS = [Buffer.from('.'), Buffer.from('..')];

function align8(length: number): number {
  return (length + 7) & ~7;
}
