import { readdirSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { eventually } from '../support/eventually.js';

/** What a target may hold between runs, and must not hold more of in the end. */
export interface Gauges {
  readonly heapBytes: number;
  readonly descriptors: number;
  /** Handles and requests of the event loop. */
  readonly handles: number;
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

export function gauges(): Gauges {
  collect();
  return {
    heapBytes: process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers,
    descriptors: readdirSync('/proc/self/fd').length,
    // The input and output of this process come and go with who looks at them.
    handles: process.getActiveResourcesInfo().filter((kind) => !/^(TTY|Pipe|FS|Immediate|Timeout)/.test(kind))
      .length,
  };
}

/** Collects garbage where this process has more than so many bytes. */
export function collectBeyond(bytes: number): void {
  if (process.memoryUsage.rss() > bytes) collect();
}

/** Heap that a target may gain: what caches and compiled code take. */
const HEAP_BYTES = 24 * 2 ** 20;
const SETTLE_MS = 10_000;

/** Why there is more now than `before`; undefined where there is not. What closes a moment later is waited for. */
export async function leak(before: Gauges): Promise<string | undefined> {
  let more: readonly string[] = [];
  const nothing = (): Promise<true | undefined> => {
    more = excess(before, gauges());
    return Promise.resolve(more.length === 0 ? true : undefined);
  };
  await eventually('nothing is left', nothing, SETTLE_MS).catch(() => undefined);
  return more.length === 0 ? undefined : more.join('; ');
}

function excess(before: Gauges, now: Gauges): readonly string[] {
  return [
    now.descriptors > before.descriptors ? `descriptors: ${before.descriptors}, then ${now.descriptors}` : '',
    now.handles > before.handles ? `handles: ${before.handles}, then ${now.handles}` : '',
    now.heapBytes > before.heapBytes + HEAP_BYTES
      ? `heap: ${before.heapBytes} bytes, then ${now.heapBytes}`
      : '',
  ].filter((text) => text !== '');
}
