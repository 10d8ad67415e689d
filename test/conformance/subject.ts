import type { World } from './world.js';

/** What stat(2) says, as far as the suite looks. Times in seconds. */
export interface Stat {
  readonly ino: number;
  readonly mode: number;
  readonly size: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
}

export interface OpenedFile {
  pread(offset: number, length: number): Promise<Buffer>;
  lseek(offset: number, whence: 'data' | 'hole'): Promise<number>;
  /** Size by fstat(2). */
  size(): Promise<number>;
  close(): Promise<void>;
}

/**
 * The file system as a user of it sees it, whatever carries it. Paths are relative to the root, `''` is the root.
 * Failures have a `code` that is the errno name.
 */
export interface Subject {
  list(path: string): Promise<string[]>;
  stat(path: string): Promise<Stat>;
  readlink(path: string): Promise<string>;
  open(path: string): Promise<OpenedFile>;
  getxattr(path: string, name: string): Promise<Buffer>;
  listxattr(path: string): Promise<string[]>;
  statvfs(): Promise<{ readonly blockSize: number; readonly nameMax: number }>;
  /** Whether holes are found: a transport without LSEEK answers as if all were data. */
  readonly seeksHoles: boolean;
  /** Set when a kernel is in between. */
  readonly kernel: KernelSubject | undefined;
}

/** What only a real mount can do. */
export interface KernelSubject {
  /** Absolute path of a path in the file system. */
  at(path: string): string;
  /** Any operation of posix-client.py. */
  call<T>(op: string, ...args: readonly unknown[]): Promise<T>;
  bytes(op: string, ...args: readonly unknown[]): Promise<Buffer>;
}

/** One way to carry the file system. `carry` cleans up after itself when the test is over, however it ends. */
export interface Carrier {
  readonly name: string;
  carry(world: World): Promise<Subject>;
}

/** Everything of an open file, read to its end. */
export async function readWhole(subject: Subject, path: string, step = 128 << 10): Promise<Buffer> {
  const file = await subject.open(path);
  try {
    const parts: Buffer[] = [];
    for (let offset = 0; ;) {
      const part = await file.pread(offset, step);
      if (part.length === 0) return Buffer.concat(parts);
      parts.push(part);
      offset += part.length;
    }
  } finally {
    await file.close();
  }
}
