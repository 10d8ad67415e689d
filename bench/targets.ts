/** What the kernel engine is held to (issue 3), computed from the rows of one run. */
import { SERVERS } from './catalogue.js';
import type { Row } from './samples.js';

export interface Target {
  readonly claim: string;
  readonly bound: number;
  readonly atLeast: boolean;
  /** The figure that is compared with the bound; undefined when the run has not measured what it takes. */
  figure(figures: Figures): number | undefined;
}

export type Verdict = 'holds' | 'fails' | 'not measured';

export interface Judged {
  readonly target: Target;
  readonly value: number | undefined;
  readonly verdict: Verdict;
}

/** Programs in C that people use today. */
const C_PEERS = SERVERS.filter(({ isPeer }) => isPeer).map(({ name }) => name);

const MiB = 2 ** 20;

/** Medians by backing, server and metric. */
export class Figures {
  readonly #rows: readonly Row[];

  constructor(rows: readonly Row[]) {
    this.#rows = rows;
  }

  median(backing: string, server: string, metric: string): number | undefined {
    return this.#rows.find((row) => row.backing === backing && row.server === server && row.metric === metric)
      ?.median;
  }

  /** `server` over `other`. */
  ratio(backing: string, server: string, metric: string, other: string): number | undefined {
    return over(this.median(backing, server, metric), this.median(backing, other, metric));
  }

  /** `server` over the C program that does best at a metric of which more is better. */
  overBestPeer(backing: string, server: string, metric: string): number | undefined {
    const peers = C_PEERS.map((peer) => this.median(backing, peer, metric)).filter(
      (one) => one !== undefined,
    );
    return peers.length === 0 ? undefined : over(this.median(backing, server, metric), Math.max(...peers));
  }

  /** The worst figure of cinderfs, in whatever way it serves, of a metric of which less is better. */
  worst(metric: string, isMeant: (row: Row) => boolean): number | undefined {
    const rows = this.#rows.filter((row) => row.metric === metric && isMeant(row));
    return rows.length === 0 ? undefined : Math.max(...rows.map((row) => row.median));
  }
}

export const TARGETS: readonly Target[] = [
  least('device: seq-cold, engine / best C peer', 2.5, (f) => f.overBestPeer('device', 'engine', 'seq-cold')),
  least('device: seq-cold, engine / the device', 0.35, (f) =>
    f.ratio('device', 'engine', 'seq-cold', 'direct'),
  ),
  least('device: rand4k-1, engine / best C peer', 1.2, (f) => f.overBestPeer('device', 'engine', 'rand4k-1')),
  least('device: rand4k-8, engine / best C peer', 2, (f) => f.overBestPeer('device', 'engine', 'rand4k-8')),
  least('device: seq-warm, engine / the backing file from page cache', 0.8, (f) =>
    over(f.median('device', 'engine', 'seq-warm'), f.median('file', 'direct', 'seq-warm')),
  ),
  least('file: seq-cold, engine / best C peer', 3, (f) => f.overBestPeer('file', 'engine', 'seq-cold')),
  least('file: rand4k-8, engine / best C peer', 3, (f) => f.overBestPeer('file', 'engine', 'rand4k-8')),
  least('file: seq-cold, passthrough / the file', 0.85, (f) =>
    f.ratio('file', 'engine-passthrough', 'seq-cold', 'direct'),
  ),
  least('file: rand4k-1, passthrough / the file', 0.6, (f) =>
    f.ratio('file', 'engine-passthrough', 'rand4k-1', 'direct'),
  ),
  least('file: seq-cold, engine-nbd / nbdfuse over qemu-nbd', 1.2, (f) =>
    f.ratio('file', 'engine-nbd', 'seq-cold', 'nbdfuse'),
  ),
  least('file: seq-warm, engine-nbd / nbdfuse over qemu-nbd', 3, (f) =>
    f.ratio('file', 'engine-nbd', 'seq-warm', 'nbdfuse'),
  ),
  least('rbd: seq-cold, engine / rbd-fuse', 1.5, (f) => f.ratio('rbd', 'engine', 'seq-cold', 'rbd-fuse')),
  least('rbd: rand4k-1, engine / rbd-fuse', 1, (f) => f.ratio('rbd', 'engine', 'rand4k-1', 'rbd-fuse')),
  most('fanin-32, the worst of the engine', 1.05, (f) => f.worst('fanin-32', isEngine)),
  most('file: sparse-convert, engine / the file', 1.5, (f) =>
    f.ratio('file', 'engine', 'sparse-convert', 'direct'),
  ),
  most('file: sparse-convert, passthrough / the file', 1.5, (f) =>
    f.ratio('file', 'engine-passthrough', 'sparse-convert', 'direct'),
  ),
  most('device: sparse-convert, engine / the device', 1.5, (f) =>
    f.ratio('device', 'engine', 'sparse-convert', 'direct'),
  ),
  most('rss-idle in MiB, the worst of the engine over files and devices', 130, (f) =>
    over(f.worst('rss-idle', isBounded), MiB),
  ),
  most('rss in MiB, the worst of the engine, with 256 MiB of cache', 256 + 160, (f) =>
    over(f.worst('rss', isBounded), MiB),
  ),
];

export function judge(rows: readonly Row[]): Judged[] {
  const figures = new Figures(rows);
  return TARGETS.map((target) => {
    const value = target.figure(figures);
    return { target, value, verdict: verdictOn(target, value) };
  });
}

function verdictOn({ atLeast, bound }: Target, value: number | undefined): Verdict {
  if (value === undefined) return 'not measured';
  return (atLeast ? value >= bound : value <= bound) ? 'holds' : 'fails';
}

function least(claim: string, bound: number, figure: Target['figure']): Target {
  return { claim, bound, atLeast: true, figure };
}

function most(claim: string, bound: number, figure: Target['figure']): Target {
  return { claim, bound, atLeast: false, figure };
}

function isEngine({ server }: Row): boolean {
  return server === 'engine' || server === 'engine-nbd';
}

/** Its qemu-nbd counts too, but not one with all of librbd in it, whose memory is not ours to bound. */
function isBounded({ server, backing }: Row): boolean {
  return server.startsWith('engine') && backing !== 'rbd';
}

function over(value: number | undefined, base: number | undefined): number | undefined {
  return value === undefined || base === undefined ? undefined : value / base;
}
