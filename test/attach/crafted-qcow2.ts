/** qcow2 files that lead to a file of this host, as a tenant can upload or a guest can write them. */
import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';

export const SECRET = 'HOST-SECRET-ROOT-ONLY ';
const SIZE = 64 * 1024;

export interface Crafted {
  readonly what: string;
  /** Makes it at `path`; `secret` is a file of the host. */
  readonly make: (path: string, secret: string) => void | Promise<void>;
}

const create = (path: string, ...args: readonly string[]): void =>
  void execFileSync('qemu-img', ['create', '-q', '-u', '-f', 'qcow2', ...args, path, String(SIZE)]);

const fileNode = (filename: string): string =>
  `json:${JSON.stringify({ driver: 'raw', file: { driver: 'file', filename } })}`;

/** Sets bytes of the header of an image without anything else wrong with it. */
async function patched(path: string, offset: number, bytes: readonly number[]): Promise<void> {
  create(path);
  const image = await readFile(path);
  Buffer.from(bytes).copy(image, offset);
  await writeFile(path, image);
}

const dataFile = async (path: string, secret: string, raw: 'on' | 'off'): Promise<void> => {
  const content = await readFile(secret);
  // qemu-img makes the data file anew.
  create(path, '-o', `data_file=${secret},data_file_raw=${raw}`);
  await writeFile(secret, content);
};

/** Each leads out of the file, or is one that QEMU understands and we do not. */
export const HOSTILE: readonly Crafted[] = [
  { what: 'v3 with a raw data file', make: (path, secret) => dataFile(path, secret, 'on') },
  { what: 'v3 with a data file', make: (path, secret) => dataFile(path, secret, 'off') },
  {
    what: 'v2 with a backing file',
    make: (path, secret) => create(path, '-o', 'compat=0.10', '-b', secret, '-F', 'raw'),
  },
  { what: 'v3 with a backing file', make: (path, secret) => create(path, '-b', secret, '-F', 'raw') },
  {
    what: 'v2 with a json: backing name',
    make: (path, secret) => create(path, '-o', 'compat=0.10', '-b', fileNode(secret), '-F', 'raw'),
  },
  {
    what: 'v3 with a json: backing name',
    make: (path, secret) => create(path, '-b', fileNode(secret), '-F', 'raw'),
  },
  { what: 'an unknown incompatible feature', make: (path) => patched(path, 72, [0, 0, 0, 0, 0, 0, 0, 0x20]) },
  { what: 'a highest incompatible feature', make: (path) => patched(path, 72, [0x80]) },
  { what: 'encryption', make: (path) => patched(path, 32, [0, 0, 0, 1]) },
  { what: 'version 4', make: (path) => patched(path, 4, [0, 0, 0, 4]) },
  { what: 'a header that never ends', make: (path) => patched(path, 100, [0xff, 0xff, 0xff, 0xf0]) },
  { what: 'no qcow2 at all', make: (path) => writeFile(path, Buffer.alloc(SIZE, 'raw ')) },
  { what: 'a few bytes', make: (path) => writeFile(path, Buffer.alloc(512, 'QFI\xfb', 'latin1')) },
];
