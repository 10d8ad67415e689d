import { constants } from 'node:fs';
import { CinderfsError } from '../../src/errors.js';
import { ROOT_NODE } from '../../src/fs/contract/filesystem.js';
import type { Attributes, Filesystem } from '../../src/fs/contract/filesystem.js';
import type { Carrier, OpenedFile, Subject } from './subject.js';

/** Calls the file system directly: no kernel in between. */
export const direct: Carrier = {
  name: 'called directly',
  carry: ({ filesystem }) => Promise.resolve(new DirectSubject(filesystem)),
};

const TYPE_BITS = { file: constants.S_IFREG, directory: constants.S_IFDIR, symlink: constants.S_IFLNK };

class DirectSubject implements Subject {
  readonly kernel = undefined;
  readonly seeksHoles = true;
  readonly #filesystem: Filesystem;

  constructor(filesystem: Filesystem) {
    this.#filesystem = filesystem;
  }

  async list(path: string): Promise<string[]> {
    return this.#do(async () => {
      const entries = await this.#filesystem.readdir(await this.#node(path));
      return entries.map(({ name }) => name);
    });
  }

  async stat(path: string): ReturnType<Subject['stat']> {
    return this.#do(async () => {
      const { node, kind, permissions, size, uid, gid, modifiedMs } = await this.#walk(path);
      return { ino: node, mode: TYPE_BITS[kind] | permissions, size, uid, gid, mtime: modifiedMs / 1000 };
    });
  }

  async readlink(path: string): Promise<string> {
    return this.#do(async () => this.#filesystem.readlink(await this.#node(path)));
  }

  async open(path: string): Promise<OpenedFile> {
    const file = await this.#do(async () =>
      this.#filesystem.open(await this.#node(path), constants.O_RDONLY),
    );
    return {
      pread: (offset, length) => this.#do(() => this.#filesystem.read(file.handle, offset, length)),
      lseek: (offset, whence) => this.#do(() => this.#filesystem.seek(file.handle, offset, whence)),
      size: () => this.#do(async () => (await this.#filesystem.getattr(file.node)).size),
      close: () => {
        this.#filesystem.release(file.handle);
        return Promise.resolve();
      },
    };
  }

  async getxattr(path: string, name: string): Promise<Buffer> {
    return this.#do(async () => this.#filesystem.getxattr(await this.#node(path), name));
  }

  async listxattr(path: string): Promise<string[]> {
    return this.#do(async () => [...(await this.#filesystem.listxattr(await this.#node(path)))]);
  }

  async statvfs(): ReturnType<Subject['statvfs']> {
    return this.#filesystem.statfs();
  }

  async #node(path: string): Promise<number> {
    return (await this.#walk(path)).node;
  }

  /** As the kernel walks a path, but without following symlinks. */
  async #walk(path: string): Promise<Attributes> {
    let attributes = await this.#filesystem.getattr(ROOT_NODE);
    for (const name of path.split('/').filter((part) => part !== '')) {
      attributes = await this.#filesystem.lookup(attributes.node, name);
    }
    return attributes;
  }

  /** A failure shows its errno as `code`, as one of a system call does. */
  async #do<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!CinderfsError.is(error)) throw error;
      throw Object.assign(new Error(error.message), { code: error.errno });
    }
  }
}
