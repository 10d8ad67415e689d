/**
 * A kind of source of a test: its bytes come from a function. Both halves are in this file, which is all that the kind
 * takes beside its registration.
 */
import { CinderfsError } from '../../src/errors.js';
import { DATA_AT } from '../../src/sources/contract/read-room.js';
import type { SourceReader } from '../../src/sources/contract/reader.js';
import type { OpenOnWorker, SourceKind, Whence } from '../../src/sources/contract/source.js';

export interface PatternSource {
  readonly kind: 'pattern';
  /** Another one, other bytes. An int32. */
  readonly seed: number;
}

declare module '../../src/sources/contract/source.js' {
  interface SourceTypes {
    readonly pattern: PatternSource;
  }
}

/** What the halves of a registered kind did. */
export interface PatternCalls {
  /** Reads by the main thread. */
  mainReads: number;
  /** Workers that have read. */
  workers: number;
  published: number;
  closed: number;
}

const MiB = 2 ** 20;
/** Bytes [UNREADABLE, UNREADABLE + 4096) cannot be read. */
export const UNREADABLE = 5 * MiB;

/** Every second MiB is a hole. */
export function byteAt(seed: number, offset: number): number {
  const isHole = Math.floor(offset / MiB) % 2 === 1;
  return isHole ? 0 : (seed + offset + (offset >> 7) * 5 + (offset >> 15) * 3) & 255;
}

export function patternSource(calls: PatternCalls): SourceKind<PatternSource> {
  return {
    key: 'pattern',
    pageCached: false,
    workerModule: new URL(import.meta.url),
    describe: ({ seed }) => `pattern:${seed}`,
    identify: ({ seed }) => String(seed),
    openReader: ({ seed }) => Promise.resolve(readerOf(seed, calls)),
    publisher: () => ({
      publish({ seed }) {
        calls.published += 1;
        return Promise.resolve({ slot: seed, close: () => void (calls.closed += 1) });
      },
      heard: () => void (calls.workers += 1),
    }),
  };
}

export const onWorker: OpenOnWorker = ({ memory, tell }) => {
  let hasRead = false;
  return {
    read(seed, offset, length) {
      if (!hasRead) tell(1);
      hasRead = true;
      fill(memory.subarray(DATA_AT, DATA_AT + length), seed, offset);
      return DATA_AT;
    },
    seek: (_seed, offset, whence) => nextOf(offset, whence),
  };
};

function readerOf(seed: number, calls: PatternCalls): SourceReader {
  return {
    broken: false,
    cursor: () => ({
      async read(offset, length) {
        calls.mainReads += 1;
        const bytes = Buffer.alloc(length);
        fill(bytes, seed, offset);
        return Promise.resolve(bytes);
      },
      close: () => undefined,
    }),
    seek: (offset, whence) => Promise.resolve(nextOf(offset, whence)),
    close: () => undefined,
  };
}

function fill(bytes: Buffer, seed: number, offset: number): void {
  if (offset < UNREADABLE + 4096 && offset + bytes.length > UNREADABLE)
    throw new CinderfsError('read_failed', `byte ${UNREADABLE} cannot be read`);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = byteAt(seed, offset + at);
}

function nextOf(offset: number, whence: Whence): number {
  const isHole = Math.floor(offset / MiB) % 2 === 1;
  return isHole === (whence === 'hole') ? offset : (Math.floor(offset / MiB) + 1) * MiB;
}
