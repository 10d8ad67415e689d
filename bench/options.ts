import { parseArgs } from 'node:util';
import { BACKINGS, METRICS, SERVERS } from './catalogue.js';

/** What one run of the bench does. */
export interface BenchOptions {
  readonly quick: boolean;
  /** Where the JSON goes; undefined: nowhere. */
  readonly out: string | undefined;
  /** The Markdown file whose tables are rewritten; undefined: none. */
  readonly doc: string | undefined;
  /** Only these, in this order of the catalogue; undefined: all. */
  readonly backings: readonly string[] | undefined;
  readonly servers: readonly string[] | undefined;
  readonly metrics: readonly string[] | undefined;
  /** lab.json of the OpenStack lab, for the rbd backing. */
  readonly lab: string;
  readonly scale: Scale;
}

/** How much is read, how often. Bytes unless the name says otherwise. */
export interface Scale {
  /** Interleaved repetitions: every server once, then all over again. */
  readonly repetitions: number;
  /** The image that sequential, random and fan-in reads read. */
  readonly denseBytes: number;
  readonly sparseBytes: number;
  readonly sparseDataBytes: number;
  /** Longest time one random-read measurement takes. */
  readonly randomSeconds: number;
  /** Once a backing has taken this long, no further repetition of it begins. */
  readonly backingSeconds: number;
}

const MiB = 2 ** 20;
const GiB = 2 ** 30;

const FULL: Scale = {
  repetitions: 5,
  denseBytes: GiB,
  sparseBytes: 10 * GiB,
  sparseDataBytes: 256 * MiB,
  randomSeconds: 4,
  backingSeconds: Infinity,
};

/** Small: 150 s on two cores with the lab up; its figures show that things work and roughly where they stand. */
const QUICK: Scale = {
  repetitions: 3,
  denseBytes: 128 * MiB,
  sparseBytes: 512 * MiB,
  sparseDataBytes: 32 * MiB,
  randomSeconds: 0.5,
  backingSeconds: 15,
};

export const USAGE = `usage: npm run bench -- [options]
  --quick             128 MiB, at most three repetitions, within three minutes; leaves the document alone
  --out FILE          write the figures as JSON
  --doc FILE          rewrite the tables of FILE (default: docs/performance.md of a full run)
  --backings A,B      only these: file, device, rbd
  --servers A,B       only these (and direct, which every ratio needs)
  --metrics A,B       only these
  --repetitions N     instead of 5, or at most 3 with --quick, however long they take
  --lab FILE          lab.json of a running OpenStack lab, for the rbd backing (default: $CINDERFS_LAB or
                      /srv/cinderfs-lab/lab.json)
`;

/** Reads the command line. Throws a TypeError (parseArgs' or ours) that says what is wrong with it. */
export function parseOptions(args: readonly string[], environment: NodeJS.ProcessEnv): BenchOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      out: { type: 'string' },
      doc: { type: 'string' },
      backings: { type: 'string' },
      servers: { type: 'string' },
      metrics: { type: 'string' },
      repetitions: { type: 'string' },
      lab: { type: 'string' },
    },
  });
  const { quick } = values;
  const isWhole =
    !quick && [values.backings, values.servers, values.metrics].every((one) => one === undefined);
  const scale = quick ? QUICK : FULL;
  return {
    quick,
    out: values.out,
    // A run of a part would leave a document that claims to be the whole.
    doc: values.doc ?? (isWhole ? 'docs/performance.md' : undefined),
    backings: chosen('backing', values.backings, Object.keys(BACKINGS)),
    servers: withDirect(chosen('server', values.servers, SERVERS.map(nameOf))),
    metrics: chosen('metric', values.metrics, METRICS.map(nameOf)),
    lab: values.lab ?? environment.CINDERFS_LAB ?? '/srv/cinderfs-lab/lab.json',
    scale: { ...scale, ...repetitions(values.repetitions) },
  };
}

function chosen(
  what: string,
  text: string | undefined,
  known: readonly string[],
): readonly string[] | undefined {
  const names = text?.split(',').map((word) => word.trim());
  const unknown = names?.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new TypeError(`no ${what} "${unknown}"; there are ${known.join(', ')}`);
  return names;
}

function nameOf({ name }: { readonly name: string }): string {
  return name;
}

function withDirect(servers: readonly string[] | undefined): readonly string[] | undefined {
  return servers === undefined || servers.includes('direct') ? servers : ['direct', ...servers];
}

/** Who says how many wants that many, however long they take. */
function repetitions(text: string | undefined): Partial<Scale> {
  if (text === undefined) return {};
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1)
    throw new TypeError(`--repetitions must be a whole number from 1 on`);
  return { repetitions: count, backingSeconds: Infinity };
}
