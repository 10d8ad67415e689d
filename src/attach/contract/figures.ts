/** Plain numbers about the attachments of one mount, for `cinderfs status`. Names are stable: scripts read them. */

/** What is going on now. Without a reader and with every linger over, each is zero; any other value is a leak. */
export interface AttachGauges {
  /** Attachments that may be read: leased or lingering. */
  readonly held: number;
  /** Leases of openers. */
  readonly leases: number;
  readonly lingering: number;
  readonly attaching: number;
  readonly detaching: number;
  /** Attachments that must not be read any more and are being removed. */
  readonly fenced: number;
  /** Openers that wait for their volume. */
  readonly waiting: number;
  /** Attaches that wait because `attach_limit` others run. */
  readonly queued: number;
  /** Volumes whose removal failed and is tried again. */
  readonly detach_retrying: number;
  /** Steps on this host that did not end by their deadline and still run: a dead share or device. */
  readonly host_calls_hung: number;
  /** Clones that volumes are read through, those being made or deleted included. */
  readonly clones: number;
  /** What the journal remembers, whole or not. */
  readonly journal_records: number;
}

/** What happened since the start. They only grow. */
export interface AttachCounters {
  attaches: number;
  attach_failures: number;
  detaches: number;
  detach_failures: number;
  adoptions: number;
  reconnects: number;
  fences: number;
  identity_mismatches: number;
  read_failures: number;
}

export interface AttachFigures {
  readonly gauges: AttachGauges;
  readonly counters: Readonly<AttachCounters>;
}

export function newCounters(): AttachCounters {
  return {
    attaches: 0,
    attach_failures: 0,
    detaches: 0,
    detach_failures: 0,
    adoptions: 0,
    reconnects: 0,
    fences: 0,
    identity_mismatches: 0,
    read_failures: 0,
  };
}
