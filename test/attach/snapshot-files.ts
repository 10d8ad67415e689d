/** The files of a volume on a share, made as Cinder's NFS driver makes them. */
import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { someBytes } from '../support/seeds.js';
import { type DecodingScene, VOLUME } from './decoding-scene.js';

export const MiB = 2 ** 20;
export const SIZE = 4 * MiB;
export const BASE = `volume-${VOLUME}`;

const qemuImg = (...args: readonly string[]): void => void execFileSync('qemu-img', args, { stdio: 'pipe' });

export class SnapshotFiles {
  readonly #scene: DecodingScene;

  constructor(scene: DecodingScene) {
    this.#scene = scene;
  }

  /** The volume as it is without snapshots. */
  async base(format: 'raw' | 'qcow2'): Promise<void> {
    const plain = join(this.#scene.folder, 'content');
    await writeFile(plain, someBytes(SIZE));
    qemuImg('convert', '-f', 'raw', '-O', format, plain, this.#scene.at(BASE));
  }

  /** What Cinder does for a snapshot: an overlay that names the file below it. */
  overlay(name: string, below: string, format: string, size = SIZE): void {
    const names = ['-b', below, '-F', format, this.#scene.at(name)];
    qemuImg('create', '-q', '-u', '-f', 'qcow2', ...names, String(size));
  }

  /** What it does above a snapshot that it has merged into the file below. */
  rebase(name: string, below: string): void {
    qemuImg('rebase', '-u', '-b', below, '-F', 'raw', this.#scene.at(name));
  }

  write(name: string, offset: number, pattern: number): void {
    const command = `write -P ${pattern} ${offset} 128k`;
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', command, this.#scene.at(name)], { stdio: 'pipe' });
  }

  /** As QEMU left it out long ago: the extension of the header gets a type that nothing knows. */
  async forgetFormat(name: string): Promise<void> {
    const image = await readFile(this.#scene.at(name));
    image.writeUInt32BE(0x12345678, image.indexOf(Buffer.from('e2792aca', 'hex')));
    await writeFile(this.#scene.at(name), image);
  }

  /** The base, two snapshots, and what was written before, between and after them; what QEMU itself makes of it. */
  async chain(format: 'raw' | 'qcow2', [first, second]: readonly [string, string]): Promise<Buffer> {
    await this.base(format);
    this.overlay(first, BASE, format);
    this.write(first, MiB, 0x11);
    this.overlay(second, first, 'qcow2');
    this.write(second, MiB + 65_536, 0x22);
    this.write(second, 3 * MiB, 0x33);
    return this.inAll(second);
  }

  async inAll(name: string): Promise<Buffer> {
    const out = join(this.#scene.folder, 'converted');
    qemuImg('convert', '-f', 'qcow2', '-O', 'raw', this.#scene.at(name), out);
    return readFile(out);
  }
}
