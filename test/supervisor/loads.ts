/** Programs that read images through the mount over and over; each knows when what it read is wrong. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rm, stat, truncate } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { sha256 } from '../support/cloud.js';
import { run } from '../support/program.js';

const READER = fileURLToPath(new URL('../../../test/supervisor/reader.py', import.meta.url));

export interface Target {
  /** Under the mount point. */
  readonly file: string;
  /** A local file with the same bytes. */
  readonly source: string;
  readonly sha256: string;
  /** fio wrote it, with a checksum in every block. */
  readonly byFio: boolean;
}

export interface Load {
  readonly name: string;
  /** Whole passes so far. */
  passes(): number;
  /** Ends after the pass that runs; what was wrong. */
  stop(): Promise<readonly string[]>;
}

/** Every kind of reader of the issue, on `target`; `scratch` is a file of theirs. */
export function loadsOn(target: Target, scratch: string): readonly Load[] {
  const passes = [
    new Passes('sha256sum', () => hash(target)),
    new Passes('qemu-img convert', () => convert(target, scratch)),
    ...(target.byFio ? [new Passes('fio --verify', () => verify(target))] : []),
  ];
  return [...passes, new Reader('map', target), new Reader('random', target)];
}

/** sha256sum again and again, started by `as` (a command line that ends before its command). */
export function hashing(target: Target, as: readonly string[]): Load {
  return new Passes('sha256sum', () => hash(target, as));
}

/** Eight threads that read pieces of any length anywhere, buffered and O_DIRECT. */
export function eightReaders(target: Target): Load {
  return new Reader('random', target);
}

/** Pages anywhere, through a map of the file. */
export function mapReader(target: Target): Load {
  return new Reader('map', target);
}

/** Repeats a pass, which answers with what was wrong. */
class Passes implements Load {
  readonly name: string;
  readonly #wrong: string[] = [];
  readonly #done: Promise<void>;
  #passes = 0;
  #stopping = false;

  constructor(name: string, pass: () => Promise<string | undefined>) {
    this.name = name;
    this.#done = this.#repeat(pass);
  }

  passes(): number {
    return this.#passes;
  }

  async stop(): Promise<readonly string[]> {
    this.#stopping = true;
    await this.#done;
    return this.#wrong;
  }

  async #repeat(pass: () => Promise<string | undefined>): Promise<void> {
    while (!this.#stopping) {
      const wrong = await pass();
      if (wrong !== undefined) this.#wrong.push(`${new Date().toISOString()} ${this.name}: ${wrong}`);
      this.#passes += 1;
    }
  }
}

/** One process of reader.py. */
class Reader implements Load {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown[]>;
  #passes = 0;
  #complaint = '';

  constructor(way: 'map' | 'random', { file, source }: Target) {
    this.name = `${way} reader`;
    this.#child = spawn('python3', [READER, way, file, source], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#ended = once(this.#child, 'close');
    this.#child.stdout?.on('data', (dots: Buffer) => (this.#passes += dots.length));
    this.#child.stderr?.on('data', (text: Buffer) => (this.#complaint += text.toString()));
  }

  passes(): number {
    return this.#passes;
  }

  async stop(): Promise<readonly string[]> {
    this.#child.stdin?.end();
    const [status] = await this.#ended;
    return status === 0 ? [] : [`${this.name} (${String(status)}): ${this.#complaint.trim()}`];
  }
}

/** Drops what the kernel has of it, then reads it whole. */
async function hash(
  { file, sha256: expected }: Target,
  as: readonly string[] = ['env'],
): Promise<string | undefined> {
  const [first = '', ...rest] = as;
  await run(first, [...rest, 'dd', `if=${file}`, 'iflag=nocache', 'count=0', 'status=none']);
  const { status, stdout, stderr } = await run(first, [...rest, 'sha256sum', file]);
  return status === 0 && stdout.startsWith(expected) ? undefined : `status ${status}: ${stderr}${stdout}`;
}

async function convert({ file, sha256: expected }: Target, scratch: string): Promise<string | undefined> {
  const args = ['convert', '-f', 'raw', '-O', 'raw', '-T', 'none', file, scratch];
  const { status, stderr } = await run('qemu-img', args);
  if (status !== 0) return stderr;
  // It rounds an image up to a whole sector, with zeros.
  await truncate(scratch, (await stat(file)).size);
  const found = await sha256(scratch);
  await rm(scratch);
  return found === expected ? undefined : `digest ${found}`;
}

/** The verification alone: what is read was written by writeByFio. */
async function verify({ file }: Target): Promise<string | undefined> {
  const { status, stdout, stderr } = await run('fio', [
    ...FIO,
    '--rw=randread',
    '--readonly',
    `--filename=${file}`,
  ]);
  return status === 0 ? undefined : `${stderr}${stdout}`;
}

/** Makes `file`, with a checksum in every block. */
export async function writeByFio(file: string, bytes: number): Promise<void> {
  const args = [...FIO, '--rw=write', '--do_verify=0', `--size=${bytes}`, `--filename=${file}`];
  const { status, stderr } = await run('fio', args);
  if (status !== 0) throw new Error(stderr);
}

const FIO = [
  '--name=verify',
  '--bs=64k',
  '--verify=crc32c',
  '--invalidate=1',
  '--minimal',
  '--verify_state_save=0',
];
