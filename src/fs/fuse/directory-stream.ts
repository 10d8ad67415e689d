import type { DirectoryEntry } from '../filesystem.js';
import { entryFields, entryType } from './attributes.js';
import { DIRENT, ENTRY_OUT } from './messages.js';

/** What one READDIR or READDIRPLUS answers with. */
export interface DirectoryPage {
  readonly bytes: Buffer;
  /** Entries that the kernel now holds a reference to (READDIRPLUS only). */
  readonly looked: readonly number[];
}

interface Item {
  readonly name: Buffer;
  readonly entry: DirectoryEntry;
}

/**
 * One open directory: the entries as they were when its reading began, so that a catalog that changes meanwhile
 * neither repeats nor skips one. Rewinding takes a new snapshot.
 */
export class DirectoryStream {
  readonly node: number;
  #items: readonly Item[] | undefined;

  constructor(node: number) {
    this.node = node;
  }

  /** True when the next page needs a fresh snapshot. */
  needsSnapshot(offset: number): boolean {
    return offset === 0 || this.#items === undefined;
  }

  take(entries: readonly DirectoryEntry[]): void {
    this.#items = entries.map((entry) => ({ entry, name: Buffer.from(entry.name) }));
  }

  /** Entries from `offset` on, as many as fit in `room` bytes; `plusTtl` (seconds) makes it READDIRPLUS. */
  page(offset: number, room: number, plusTtl?: number): DirectoryPage {
    const bytes = Buffer.alloc(room);
    const looked: number[] = [];
    let used = 0;
    for (let index = offset; ; index += 1) {
      const item = this.#at(index);
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

  /** `.` and `..` come first and carry no entry: the kernel takes a node id of 0 as "do not look this one up". */
  #at(index: number): { name: Buffer; entry?: DirectoryEntry } | undefined {
    const dots = DOTS[index];
    return dots === undefined ? this.#items?.[index - DOTS.length] : { name: dots };
  }
}

const DOTS = [Buffer.from('.'), Buffer.from('..')];

function align8(length: number): number {
  return (length + 7) & ~7;
}
