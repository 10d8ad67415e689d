import { readKeptSync } from '../../../sys/files/kept-file.js';
import type { FileMemo } from '../../contract/filesystem.js';
import { FH_ENTRIES } from '../shared/shared-handles.js';

/** An open file as the kernel knows it, in words that outlive this process. */
export interface OpenRecord {
  readonly fh: number;
  readonly node: number;
  /** The OPEN that made it, as a decimal: when it comes again, its answer was lost and is given again. */
  readonly unique: string;
  /** The uid that opened it; root, where an earlier version did not note it. */
  readonly uid?: number | undefined;
  /** The kernel reads it by itself through this backing file, which the mount keeps. */
  readonly backingId?: number | undefined;
  readonly memo: FileMemo;
}

/** What is open according to a journal (open-journal.ts). */
export interface KeptRecords {
  readonly records: readonly OpenRecord[];
  /** The highest number of a file that it tells of, 0 for none. */
  readonly last: number;
  /** Lines that could not be read. */
  readonly damaged: number;
}

/** Bytes; far beyond what the kernel can have open. What comes after them was not written by us. */
const MOST = 256 * 2 ** 20;

export function opening(record: OpenRecord): string {
  return `${JSON.stringify(record)}\n`;
}

export function closing(fh: number): string {
  return `${JSON.stringify({ closed: fh })}\n`;
}

/**
 * Reads a journal, whatever is in it. A last line cut short by the writer's death was never acted upon. Neither was a
 * line that was only half overwritten when its file was closed: that RELEASE comes again.
 */
export function readOpenRecords(path: string): KeptRecords {
  const open = new Map<number, OpenRecord>();
  let [last, damaged] = [0, 0];
  const text = readKeptSync(path, MOST)?.toString('utf8') ?? '';
  for (const line of text.split('\n').slice(0, -1)) {
    const entry = parseLine(line);
    last = Math.max(last, ...numbersIn(line));
    if (entry === undefined) damaged += 1;
    else if ('closed' in entry) open.delete(entry.closed);
    else open.set(entry.fh, entry);
  }
  return { records: [...open.values()], last, damaged };
}

function parseLine(line: string): OpenRecord | { readonly closed: number } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const entry = value as Partial<Record<'closed' | keyof OpenRecord, unknown>>;
  if (isFile(entry.closed)) return { closed: entry.closed };
  const whole =
    isFile(entry.fh) &&
    isNumber(entry.node) &&
    typeof entry.unique === 'string' &&
    /^\d{1,20}$/.test(entry.unique) &&
    (entry.uid === undefined || isNumber(entry.uid)) &&
    (entry.backingId === undefined || isNumber(entry.backingId)) &&
    typeof entry.memo === 'object' &&
    entry.memo !== null;
  return whole ? (value as OpenRecord) : undefined;
}

/** Numbers of files, also of a line that cannot be read: none may be given twice. */
function numbersIn(line: string): readonly number[] {
  const found = /^\{"(?:closed|fh)":(\d{1,16})[,}]/.exec(line);
  const number = Number(found?.[1] ?? 0);
  return isFile(number) ? [number] : [];
}

/** A number of a file that leaves room for more. */
function isFile(value: unknown): value is number {
  return isNumber(value) && value < FH_ENTRIES * 2 ** 30;
}

function isNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
