import type { OpenFile } from '../contract/filesystem.js';

/** Largest number the binding passes through open(): it is a signed 32-bit integer there. */
const MAX_FD = 2 ** 31 - 1;

/** The binding's file numbers -> what is open, and under which path. */
export class OpenTable {
  readonly #files = new Map<number, { readonly file: OpenFile; readonly path: string }>();
  #last = 0;

  add(path: string, file: OpenFile): number {
    do this.#last = (this.#last % MAX_FD) + 1;
    while (this.#files.has(this.#last));
    this.#files.set(this.#last, { file, path });
    return this.#last;
  }

  get(fd: number): OpenFile | undefined {
    return this.#files.get(fd)?.file;
  }

  take(fd: number): OpenFile | undefined {
    const file = this.get(fd);
    this.#files.delete(fd);
    return file;
  }

  /** A file that is open under `path`: it can be stat'ed after its image has left the catalog. */
  findByPath(path: string): OpenFile | undefined {
    for (const open of this.#files.values()) if (open.path === path) return open.file;
    return undefined;
  }

  files(): OpenFile[] {
    return Array.from(this.#files.values(), ({ file }) => file);
  }
}
