/** Who reads: each a process of its own, judged by the file that says what the bytes are. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { run, type Outcome } from '../support/program.js';
import type { Random } from '../support/random.js';
import { moment, within } from '../support/time.js';
import { sameAfterConvert, type SoakImage } from './images.js';

const READER = fileURLToPath(new URL('../../../test/soak/reader.py', import.meta.url));

/** What a reader has to say: bytes that it proved right, the errno it ended with, or what was wrong. */
export interface Reading {
  readonly bytes: number;
  readonly errno?: string | undefined;
  readonly wrong?: string | undefined;
}

export interface ReadJob {
  readonly file: string;
  readonly image: Pick<SoakImage, 'size' | 'source'>;
  /** For copies. */
  readonly dir: string;
  readonly random: Random;
}

export interface Reader {
  readonly name: string;
  readonly weight: number;
  readonly read: (job: ReadJob) => Promise<Reading>;
}

const python = (how: string, weight: number): Reader => ({
  name: how,
  weight,
  read: async ({ file, image, random }) => {
    const seed = String(random.whole(0, 2 ** 31));
    const outcome = await patiently('python3', [READER, how, file, image.source, seed]);
    // A mapped page that cannot be read is a signal, not an errno.
    if (outcome.hung) return { bytes: 0, errno: 'hung' };
    if (outcome.status === null) return { bytes: 0, errno: 'SIGBUS' };
    if (outcome.status !== 0) return { bytes: 0, wrong: `the reader failed: ${outcome.stderr}` };
    return JSON.parse(outcome.stdout) as Reading;
  },
});

/** A tool: `judge` says whether what it did is right, once it ended with status 0. */
const tool = (
  name: string,
  weight: number,
  command: (job: ReadJob, copy: string) => readonly [string, ...string[]],
  judge: (outcome: Outcome, job: ReadJob, copy: string) => Promise<boolean> | boolean,
): Reader => ({
  name,
  weight,
  read: async (job) => {
    const copy = path.join(job.dir, `copy-${job.random.whole(0, 2 ** 31)}`);
    const [program, ...args] = command(job, copy);
    try {
      const outcome = await patiently(program, args);
      if (outcome.hung) return { bytes: 0, errno: 'hung' };
      const errno = outcome.status === 0 ? undefined : errnoIn(outcome.stderr);
      if (errno !== undefined) return { bytes: 0, errno };
      const right = outcome.status === 0 && (await judge(outcome, job, copy));
      const said = `${outcome.stdout} ${outcome.stderr}`.trim();
      return right
        ? { bytes: job.image.size }
        : { bytes: 0, wrong: `${name}: status ${String(outcome.status)}: ${said}` };
    } finally {
      await rm(copy, { force: true });
    }
  },
});

/** Opens, and is killed by a signal soon after: the open may be waiting for an attach. */
const interrupted: Reader = {
  name: 'interrupted',
  weight: 2,
  read: async ({ file, random }) => {
    const child = spawn('cat', [file], { stdio: 'ignore' });
    const signal = random.pick(['SIGINT', 'SIGTERM', 'SIGKILL'] as const);
    // A signal to what has ended does nothing.
    const killed = moment(random.whole(1, 600)).then(() => child.kill(signal));
    const { hung } = await endOf(child);
    await killed;
    return hung ? { bytes: 0, errno: 'hung' } : { bytes: 0 };
  },
};

/** From the first byte to the last. */
export const WHOLE = python('whole', 3);

export const READERS: readonly Reader[] = [
  WHOLE,
  python('pread', 4),
  python('direct', 2),
  python('mapped', 2),
  python('hold', 3),
  python('holes', 1),
  interrupted,
  tool(
    'cmp',
    2,
    ({ file, image }) => ['cmp', file, image.source],
    () => true,
  ),
  tool(
    'sha256sum',
    1,
    ({ file, image }) => ['sha256sum', file, image.source],
    ({ stdout }) =>
      new Set(
        stdout
          .trim()
          .split('\n')
          .map((line) => line.slice(0, 64)),
      ).size === 1,
  ),
  tool(
    'qemu-img convert',
    1,
    ({ file }, copy) => ['qemu-img', 'convert', '-f', 'raw', '-O', 'raw', file, copy],
    (_, { image }, copy) => sameAfterConvert(copy, image),
  ),
];

/** Lists and stats everything: answered from memory, so it must be quick and right whatever the cloud does. */
export async function list(mountpoint: string): Promise<Reading & { readonly ms?: number }> {
  const { status, stdout, stderr, hung } = await patiently('python3', [
    READER,
    'listing',
    mountpoint,
    '',
    '0',
  ]);
  if (hung) return { bytes: 0, errno: 'hung' };
  return status === 0 ? (JSON.parse(stdout) as Reading) : { bytes: 0, wrong: `listing failed: ${stderr}` };
}

/** Longer than the deadlines of an open and some reads together. */
const PATIENCE_MS = 90_000;

async function patiently(
  command: string,
  args: readonly string[],
): Promise<Outcome & { readonly hung: boolean }> {
  const limit = ['-s', 'KILL', String(PATIENCE_MS / 1000), command, ...args];
  const begun = performance.now();
  const outcome = await run('timeout', limit);
  // timeout(1) ends by the signal it sent.
  const hung = outcome.status !== 0 && performance.now() - begun >= PATIENCE_MS;
  return { ...outcome, hung };
}

async function endOf(child: ReturnType<typeof spawn>): Promise<{ hung: boolean }> {
  return { hung: (await within(PATIENCE_MS, once(child, 'exit'))) === 'late' };
}

/** What tools print, as C libraries word it. */
const WORDS: Readonly<Record<string, string>> = {
  'Input/output error': 'EIO',
  'Stale file handle': 'ESTALE',
  'Connection timed out': 'ETIMEDOUT',
  'No such file or directory': 'ENOENT',
  'Device or resource busy': 'EBUSY',
  'Transport endpoint is not connected': 'ENOTCONN',
  'Software caused connection abort': 'ECONNABORTED',
  'Permission denied': 'EACCES',
  'Resource temporarily unavailable': 'EAGAIN',
  'Interrupted system call': 'EINTR',
  'Operation not supported': 'EOPNOTSUPP',
};

function errnoIn(stderr: string): string | undefined {
  return Object.entries(WORDS).find(([words]) => stderr.includes(words))?.[1];
}
