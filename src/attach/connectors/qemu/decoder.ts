/**
 * Decodes a volume or an image: a raw export in, an export of what a guest would see out. The process that reads the
 * format can open nothing but the raw export (confinement.ts), and its header was judged before (qcow2-header.ts).
 */
import { chown, link } from 'node:fs/promises';
import { join } from 'node:path';
import { withDeadline } from '../../../async/deadline.js';
import { CinderfsError } from '../../../errors.js';
import type { NbdSource } from '../../../sources/nbd/nbd-source.js';
import { type CellOptions, CellServers } from './cell-server.js';
import { HEAD_BYTES, judgeQcow2 } from './qcow2-header.js';
import type { ServerLink } from './server-link.js';

/** What is decoded, and where to. */
export interface Decoding {
  /** An export of the undecoded bytes, on a socket next to `socket`. */
  readonly raw: NbdSource;
  /** Reads that export, too. */
  readonly client: ServerLink;
  /** Of the export to be made, in a directory of this process alone. */
  readonly socket: string;
  readonly exportName: string;
}

export class Decoder {
  readonly #options: CellOptions;
  readonly #servers: CellServers;

  /** `servers`: where the caller has them already. */
  constructor(options: CellOptions, servers = new CellServers(options)) {
    this.#options = options;
    this.#servers = servers;
  }

  /**
   * Serves the qcow2 in `raw` at `socket`; resolves with the pid of the process that does. Rejects with `volume_unsafe`
   * where the header leads out of the file, else with `connector_failed`; end() removes what was made.
   */
  async start({ raw, client, socket, exportName }: Decoding, signal: AbortSignal): Promise<number> {
    const { clock, startMs: ms } = this.#options;
    const head = client.read(0, Math.min(HEAD_BYTES, client.size));
    const onTimeout = (): CinderfsError =>
      new CinderfsError('connector_failed', 'the volume does not answer in time: its header cannot be read');
    judgeQcow2(await withDeadline(head, { clock, ms, signal, onTimeout }));
    const furnish = (directory: string, uid: number): Promise<readonly string[]> =>
      leadTo(raw.socket, directory, uid);
    const what = (inside: string): readonly string[] => [nodeFor(raw.exportName, inside)];
    return this.#servers.start({ socket, exportName, network: false, furnish, what }, signal);
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

/** The one thing that the process can open. */
async function leadTo(raw: string, directory: string, uid: number): Promise<readonly string[]> {
  const way = join(directory, 'raw');
  await link(raw, way);
  await chown(way, uid, uid);
  return ['raw'];
}

function nodeFor(exportName: string, inside: string): string {
  const server = { type: 'unix', path: `${inside}/raw` };
  const file = { driver: 'nbd', 'read-only': true, export: exportName, server };
  return `json:${JSON.stringify({ driver: 'qcow2', 'read-only': true, backing: null, file })}`;
}
