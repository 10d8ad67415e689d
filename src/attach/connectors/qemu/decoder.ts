/**
 * Decodes a volume: raw exports in, an export of what a guest would see out. The process that reads the format can open
 * nothing but the raw exports (confinement.ts), and their heads were judged before (volume-layers.ts).
 */
import { chown, link } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type CellOptions, CellServers, STORAGE_NODE } from './cell-server.js';
import type { Layer } from './volume-layers.js';

/** What is decoded, and where to. */
export interface Decoding {
  /** The file that a guest writes to, and what lies below it, in order. Their sockets are next to `socket`. */
  readonly layers: readonly Pick<Layer, 'raw' | 'format'>[];
  /** Of the export to be made, in a directory of this process alone. */
  readonly socket: string;
}

export class Decoder {
  readonly #servers: CellServers;

  /** `servers`: where the caller has them already. */
  constructor(options: CellOptions, servers = new CellServers(options)) {
    this.#servers = servers;
  }

  /**
   * Serves what is in `layers` at `socket`; resolves with the pid of the process that does. Rejects with
   * `connector_failed`; end() removes what was made.
   */
  start({ layers, socket }: Decoding, signal: AbortSignal): Promise<number> {
    const exportName = basename(socket, '.sock');
    const furnish = (directory: string, uid: number): Promise<readonly string[]> =>
      Promise.all(layers.map(({ raw }, index) => leadTo(raw.socket, join(directory, wayTo(index)), uid)));
    const server = { socket, exportName, network: false, furnish };
    const nodes = layers.length > 1 ? (true as const) : undefined;
    const what = (inside: string): readonly string[] => whatOf(layers, inside);
    return this.#servers.start({ ...server, nodes, what }, signal);
  }

  /** The processes that decode to `socket`; `pid` is the one that was started. */
  processes(socket: string, pid?: string | number): Promise<readonly number[]> {
    return this.#servers.processes(socket, pid);
  }

  /** Ends what decodes to `socket` and removes what was made for it. Idempotent. */
  end(socket: string, pid?: string | number): Promise<void> {
    return this.#servers.end(socket, pid);
  }
}

/** One of the things that the process can open; answers with its name. */
async function leadTo(raw: string, way: string, uid: number): Promise<string> {
  await link(raw, way);
  await chown(way, uid, uid);
  return basename(way);
}

function wayTo(index: number): string {
  return `raw${index}`;
}

/** The files, the lowest first: each is a node that the one above it names. No header is asked what is below. */
function whatOf(layers: Decoding['layers'], inside: string): readonly string[] {
  const [only] = layers;
  if (only !== undefined && layers.length === 1)
    return [`json:${JSON.stringify({ ...nodeOf(only, 0, inside), backing: null })}`];
  const nodes = layers.map((layer, index) => {
    const backing = index < layers.length - 1 ? nameOf(index + 1) : null;
    const node = { ...nodeOf(layer, index, inside), 'node-name': nameOf(index) };
    return layer.format === 'raw' ? node : { ...node, backing };
  });
  return nodes.reverse().map((node) => `--blockdev=${JSON.stringify(node)}`);
}

function nodeOf({ format, raw }: Pick<Layer, 'raw' | 'format'>, index: number, inside: string): object {
  const server = { type: 'unix', path: `${inside}/${wayTo(index)}` };
  const file = { driver: 'nbd', 'read-only': true, export: raw.exportName, server };
  return { driver: format, 'read-only': true, file };
}

function nameOf(index: number): string {
  return index === 0 ? STORAGE_NODE : `below${index}`;
}
