/** The files of a volume in a format, each exported as it is, and its head judged before anything decodes it. */
import { withDeadline } from '../../../async/deadline.js';
import { CinderfsError } from '../../../errors.js';
import type { NbdSource } from '../../../sources/nbd/nbd-source.js';
import { besides } from '../../connection/volume-file.js';
import type { VolumeFormat } from '../../connection/volume-format.js';
import type { ConnectRequest } from '../../connection/connector.js';
import { HEAD_BYTES, readQcow2 } from './qcow2-header.js';
import type { QemuBlock } from './qemu-block.js';
import { rawAt, type RawServers } from './raw-servers.js';
import type { Patience, ServerLink } from './server-link.js';
import { SnapshotChain } from './snapshot-chain.js';

/** One file: what it is called next to the others, and where its bytes are. */
export interface Layer {
  readonly name: string;
  readonly format: VolumeFormat;
  readonly raw: NbdSource;
}

export interface LayersOptions extends Patience {
  readonly servers: RawServers;
  readonly blocks: (info: ConnectRequest['info']) => Promise<readonly QemuBlock[]>;
  readonly hello: (source: NbdSource) => Promise<ServerLink>;
}

/**
 * Exports the file that `block` is, and all that lie below it, at the places of rawAt(`socket`). Rejects with
 * `volume_unsafe` where a head leads to what Cinder does not vouch for, else with `connector_failed`; the caller ends
 * what was started.
 */
export async function exportLayers(
  request: ConnectRequest,
  block: QemuBlock,
  socket: string,
  options: LayersOptions,
): Promise<{ readonly layers: readonly Layer[]; readonly pid: number }> {
  const { servers, blocks, hello } = options;
  const { info, signal } = request;
  const chain = new SnapshotChain(request);
  const layers: Layer[] = [];
  let first: number | undefined;
  for (let next: QemuBlock | undefined = block; next !== undefined;) {
    const raw = rawAt(socket, layers.length);
    const pid = await servers.start(next, raw, signal);
    first ??= pid;
    layers.push({ ...chain.lowest, raw });
    const link = await hello(raw);
    try {
      const goesOn = chain.extend(await headOf(link, options, signal));
      [next] = goesOn ? await blocks(besides(info, chain.lowest.name)) : [];
    } finally {
      link.close();
    }
  }
  return { layers, pid: first ?? 0 };
}

/**
 * The names of the files by what their heads say now, from the first down: `links` lead to all but the last, whose head
 * says nothing of others.
 */
export async function namesNow(
  first: string,
  links: readonly ServerLink[],
  patience: Patience,
): Promise<readonly string[]> {
  const heads = await Promise.all(links.map((link) => headOf(link, patience)));
  return [first, ...heads.map((head) => readQcow2(head).backing?.name ?? '')];
}

async function headOf(link: ServerLink, { clock, ms }: Patience, signal?: AbortSignal): Promise<Buffer> {
  const head = link.read(0, Math.min(HEAD_BYTES, link.size));
  const onTimeout = (): CinderfsError =>
    new CinderfsError('connector_failed', 'the volume does not answer in time: its header cannot be read');
  return withDeadline(head, { clock, ms, signal, onTimeout });
}
