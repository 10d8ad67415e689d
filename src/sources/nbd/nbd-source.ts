import { systemCalls } from '../../sys/calls/system-calls.js';
import type { PublishedSource, SourceKind, SourcePublisher } from '../contract/source.js';
import type { NbdExport } from './nbd-export.js';
import { openNbdReader } from './nbd-reader.js';
import { SharedExports } from './shared-exports.js';

export interface NbdSource extends NbdExport {
  readonly kind: 'nbd';
}

declare module '../contract/source.js' {
  interface SourceTypes {
    readonly nbd: NbdSource;
  }
}

/** Connections of the main thread to one export. */
const CONNECTIONS = 4;

/** Each worker has a connection of its own. */
export const nbdSource: SourceKind<NbdSource> = {
  key: 'nbd',
  pageCached: false,
  workerModule: new URL('./nbd-on-worker.js', import.meta.url),
  describe: ({ socket, exportName }) => `nbd+unix:///${exportName}?socket=${socket}`,
  identify: ({ socket, exportName }) => `${socket}:${exportName}`,
  openReader: (source, image, { clock, requestMs, cache, readAheadBytes }) =>
    openNbdReader(source, {
      ...image,
      clock,
      requestMs,
      cache,
      readAheadBytes,
      connections: CONNECTIONS,
    }),
  publisher: (workers) => new NbdPublisher(workers),
};

class NbdPublisher implements SourcePublisher<NbdSource> {
  readonly #exports: SharedExports;

  constructor(workers: number) {
    this.#exports = new SharedExports(workers);
  }

  get memory(): SharedArrayBuffer {
    return this.#exports.memory;
  }

  publish(source: NbdSource): Promise<PublishedSource | undefined> {
    const slot = systemCalls() === undefined ? undefined : this.#exports.publish(source);
    return Promise.resolve(
      slot === undefined ? undefined : { slot, close: () => closeAll(this.#exports.withdraw(slot)) },
    );
  }

  /** The hung up connection is the worker's own. */
  interrupt(slot: number, worker: number): void {
    const socket = this.#exports.socket(slot, worker);
    if (socket !== undefined) systemCalls()?.shutdown(socket);
  }

  vacate(worker: number): void {
    closeAll(this.#exports.vacate(worker));
  }
}

function closeAll(sockets: readonly number[]): void {
  for (const socket of sockets) systemCalls()?.closeSocket(socket);
}
