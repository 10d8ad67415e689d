import { writeSync } from 'node:fs';
import { OUT_HEADER } from '../../protocol/messages.js';
import type { PageCacheCalls, Pipe } from '../../../../sys/calls/page-cache-calls.js';
import type { PageReplies } from '../worker-channel.js';
import { MAX_PAGES, PAGE_SIZE } from '../../protocol/opcodes.js';

/** Below this the calls cost more than the copy. */
const SHORTEST = 64 * 1024;
/** A pipe holds one page in each of its places, and there is a power of two of them. */
const PLACES = 2 * MAX_PAGES;
/** What any user may have (fs.pipe-max-size); more needs CAP_SYS_RESOURCE. */
const PLACES_WITHOUT_PRIVILEGE = MAX_PAGES;

interface OpenedPipe {
  readonly pipe: Pipe;
  readonly places: number;
}

/** Pages of the longest READ whose answer fits into a pipe, with its header; all a request can have where pipes do not matter. */
export function pagesPerReply(calls: Pick<PageCacheCalls, 'openPipe' | 'closePipe'> | undefined): number {
  const opened = calls === undefined ? undefined : openLargest(calls);
  if (opened === undefined) return MAX_PAGES;
  calls?.closePipe(opened.pipe);
  return Math.min(MAX_PAGES, opened.places - 1);
}

/**
 * Header and pages meet in a pipe, and no byte passes through this process (splice(2)). Saves one of the two copies of a
 * read.
 */
export class ReplyPipe implements PageReplies {
  readonly #calls: PageCacheCalls | undefined;
  readonly #fuseFd: number;
  readonly #header = Buffer.alloc(OUT_HEADER.size);
  #opened: OpenedPipe | undefined;
  #refused = false;

  constructor(fuseFd: number, calls: PageCacheCalls | undefined) {
    this.#fuseFd = fuseFd;
    this.#calls = calls;
  }

  fill(unique: bigint, fd: number, offset: number, length: number): boolean {
    const calls = this.#calls;
    if (length < SHORTEST || calls === undefined) return false;
    const opened = this.#open(calls);
    const pages = Math.ceil(((offset % PAGE_SIZE) + length) / PAGE_SIZE);
    if (opened === undefined || pages >= opened.places) return false;
    this.#header.writeUInt32LE(OUT_HEADER.size + length, OUT_HEADER.offsets.len);
    this.#header.writeBigUInt64LE(unique, OUT_HEADER.offsets.unique);
    writeSync(opened.pipe.write, this.#header);
    for (let filled = 0; filled < length;) {
      const moved = calls.spliceIn(fd, offset + filled, opened.pipe, length - filled);
      // It ended early, or cannot be spliced: the read by the other way finds out which.
      if (moved <= 0) {
        this.discard();
        return false;
      }
      filled += moved;
    }
    return true;
  }

  send(length: number): void {
    const { pipe } = this.#opened ?? {};
    if (pipe === undefined) return;
    // What the kernel did not take may still be in there.
    if (this.#calls?.spliceOut(pipe, this.#fuseFd, OUT_HEADER.size + length) !== true) this.discard();
  }

  discard(): void {
    if (this.#opened !== undefined) this.#calls?.closePipe(this.#opened.pipe);
    this.#opened = undefined;
  }

  #open(calls: PageCacheCalls): OpenedPipe | undefined {
    if (this.#refused) return undefined;
    this.#opened ??= openLargest(calls);
    this.#refused = this.#opened === undefined;
    return this.#opened;
  }
}

function openLargest(calls: Pick<PageCacheCalls, 'openPipe'>): OpenedPipe | undefined {
  for (const places of [PLACES, PLACES_WITHOUT_PRIVILEGE]) {
    const pipe = calls.openPipe(places * PAGE_SIZE);
    if (pipe !== undefined) return { pipe, places };
  }
  return undefined;
}
