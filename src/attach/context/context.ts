import type { Clock } from '../../async/clock.js';
import type { Slots } from '../../async/slots.js';
import type { Attachments, ConnectorProperties } from '../../cinder/contract/attachments.js';
import type { Clones, Volumes } from '../../cinder/contract/volumes.js';
import type { Log } from '../../log.js';
import type { Connector } from '../connection/connector.js';
import type { HostCalls } from '../host/host-calls.js';
import type { ATTACH_METRICS, Counters } from '../../metrics.js';
import type { ImageHeads } from '../head/image-heads.js';
import type { Ceilings } from './ceilings.js';
import type { GlanceHashes } from '../proof/glance-hashes.js';
import type { Pins } from '../proof/identity.js';
import type { Journal } from '../journal/journal.js';

/** How long things may take, in milliseconds. */
export interface AttachTimes {
  /** An unused attachment of a multiattach volume is kept this long. */
  readonly lingerMs: number;
  /** An opener waits this long for its volume. */
  readonly openMs: number;
  /** Cinder's "another attach is under way" is retried this long. */
  readonly attachBudgetMs: number;
  /** The host half of an attach, and one proof of identity. */
  readonly connectMs: number;
  /** One look at something on this host: whether it is there, how large it is, a piece of it. */
  readonly lookMs: number;
  /**
   * A reserved attachment that stays untouched this long has no living owner: longer than any host takes
   * from reserving to naming its connector.
   */
  readonly orphanMs: number;
  /** Cinder takes this long at most to make, or to delete, a clone. Some backends copy all of it. */
  readonly cloneMs: number;
  /** A backend counts a client that died as a reader this long at most (Ceph's watch: 30 s), and deletes nothing it reads. */
  readonly forgetMs: number;
  /** A proof of identity is good this long for openers that join; a lingering attachment is always proven again. */
  readonly proofMs: number;
  /** Cinder's word that the attachment exists is good this long when an unused one is opened again. */
  readonly recheckMs: number;
}

export const DEFAULT_TIMES: AttachTimes = {
  lingerMs: 60_000,
  openMs: 120_000,
  attachBudgetMs: 120_000,
  connectMs: 60_000,
  lookMs: 15_000,
  orphanMs: 30_000,
  cloneMs: 600_000,
  forgetMs: 35_000,
  proofMs: 1_000,
  recheckMs: 10_000,
};

/** Everything an attachment works with; one per daemon. */
export interface AttachContext {
  readonly attachments: Attachments;
  readonly volumes: Volumes;
  readonly clones: Clones;
  /** Which images Glance is reading itself. */
  readonly hashes: GlanceHashes;
  /** How a volume is read that only one host may attach: itself, or through a clone of our own. */
  readonly isolate: 'none' | 'clone';
  /** Images of more bytes are not compared with Glance's hash of them (identity.ts). */
  readonly verifyLimit: number;
  /** The look at the head of every image before its first lease. */
  readonly heads: ImageHeads;
  readonly journal: Journal;
  readonly pins: Pins;
  /** All there are: the connector that connected a volume in an earlier life disconnects it, whatever is configured now. */
  readonly connectors: readonly Connector[];
  /** Those of them that a new attachment may use, in order of preference. */
  readonly choices: readonly Connector[];
  readonly properties: ConnectorProperties;
  readonly times: AttachTimes;
  /** How many may be attached in all; default: DEFAULT_CEILINGS. */
  readonly ceilings?: Ceilings | undefined;
  /** How many volumes are attached at once: a boot storm of many images must not overwhelm Cinder or this host. */
  readonly slots: Slots;
  /** The bulkhead that the connectors' steps run in. */
  readonly hostCalls: HostCalls;
  readonly counters: Counters<typeof ATTACH_METRICS>;
  /** An earlier process held all this a moment ago, for a mount that outlived it. */
  readonly inPlace?: boolean | undefined;
  /** Takes locks that other services of this host take as well (locksOf); none, where none are named. */
  readonly guard: (locks: readonly string[]) => Promise<() => Promise<void>>;
  readonly clock: Clock;
  readonly log: Log;
  /** In [0, 1): jitter. */
  readonly random: () => number;
}
