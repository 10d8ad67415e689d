/**
 * Every number that `cinderfs status -f json` and `/.cinderfs/status` show of a mount. docs/metrics.md is generated from
 * here. Names are stable: scripts read them.
 */
export interface Metric {
  /** A gauge is what is going on now; a counter is what happened since the start, and only grows. */
  readonly type: 'gauge' | 'counter';
  /** One sentence, in the operator's words. */
  readonly help: string;
}

const gauge = (help: string) => ({ type: 'gauge', help }) as const;
const counter = (help: string) => ({ type: 'counter', help }) as const;

/** The mount: measured in daemon/status.ts. */
export const MOUNT_METRICS = {
  open_handles: gauge('Files of images that are open.'),
} as const satisfies Record<string, Metric>;

/** Attachments: measured in attach/lifecycle/figures.ts, counted where it happens (AttachContext.counters). */
export const ATTACH_METRICS = {
  held: gauge('Attachments that may be read: leased or lingering.'),
  leases: gauge('Leases of openers.'),
  lingering: gauge('Attachments without a reader that are kept for the next one.'),
  attaching: gauge('Volumes that are being attached.'),
  detaching: gauge('Volumes that are being detached.'),
  fenced: gauge('Attachments that must not be read any more and are being removed.'),
  waiting: gauge('Openers that wait for their volume.'),
  queued: gauge('Attaches that wait because `attach_limit` others run.'),
  detach_retrying: gauge('Volumes whose removal failed and is tried again.'),
  host_calls_hung: gauge(
    'Steps on this host that did not end by their deadline and still run: a dead share or device.',
  ),
  clones: gauge('Clones that volumes are read through, those being made or deleted included.'),
  journal_records: gauge('What the journal remembers, whole or not.'),
  attaches: counter('Volumes that were attached.'),
  attach_failures: counter('Attaches that failed.'),
  detaches: counter('Volumes that were detached.'),
  detach_failures: counter('Detaches that failed; each is tried again.'),
  adoptions: counter('Attachments taken over from an earlier process.'),
  reconnects: counter('Connections to a volume on this host that were lost and made again.'),
  fences: counter('Attachments whose readers were cut off.'),
  identity_mismatches: counter('Devices that did not prove to be their volume.'),
  read_failures: counter('Reads that failed.'),
} as const satisfies Record<string, Metric>;

type Table = Readonly<Record<string, Metric>>;

type Values<T extends Table, Type extends Metric['type']> = {
  -readonly [Name in keyof T as T[Name]['type'] extends Type ? Name : never]: number;
};

/** A value for each gauge of a table. */
export type Gauges<T extends Table> = Readonly<Values<T, 'gauge'>>;
/** A value for each counter of a table. */
export type Counters<T extends Table> = Values<T, 'counter'>;

/** The counters of a table, each zero. */
export function newCounters<T extends Table>(table: T): Counters<T> {
  const names = Object.entries(table).flatMap(([name, { type }]) => (type === 'counter' ? [name] : []));
  return Object.fromEntries(names.map((name) => [name, 0])) as Counters<T>;
}
