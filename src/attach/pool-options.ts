import type { Clock } from '../async/clock.js';
import type { ImageLookup } from '../cinder/contract/images.js';
import type { Attachments } from '../cinder/contract/attachments.js';
import type { Clones, Volumes } from '../cinder/contract/volumes.js';
import type { KernelOptions } from './connectors/brick/kernel.js';
import type { ConnectorOptions } from './connectors/connectors.js';
import type { HostIdentity } from './host/host-properties.js';
import type { AttachContext, AttachTimes } from './context/context.js';
import type { ImageSafety } from './head/image-heads.js';
import type { Journal } from './journal/journal.js';
import type { Ceilings } from './context/ceilings.js';

/** What the attachment pool of a mount is made with. */
export interface PoolOptions extends Omit<HostIdentity, 'stateDir'>, ConnectorOptions {
  readonly attachments: Attachments;
  readonly volumes: Volumes;
  readonly clones: Clones;
  /** Glance. */
  readonly images: ImageLookup;
  /** Default: none. */
  readonly isolate?: AttachContext['isolate'] | undefined;
  /** Bytes; default: 0, no image is compared with its hash. */
  readonly verifyLimit?: number | undefined;
  /** What is done about an image that leads programs astray; default: refuse. */
  readonly imageSafety?: ImageSafety | undefined;
  /** Survives reboots: the journal and the pins. One daemon each. */
  readonly stateDir: string;
  /** Named to a second daemon that wants the same state directory. */
  readonly mountpoint: string;
  /** Of the brick connector; as nova-compute here does it when absent. */
  readonly kernel?: KernelOptions | undefined;
  /** How many volumes are attached at once. */
  readonly attachLimit?: number | undefined;
  /** Where they differ from DEFAULT_CEILINGS. */
  readonly ceilings?: Partial<Ceilings> | undefined;
  readonly times?: Partial<AttachTimes> | undefined;
  /** How often Cinder is asked about what is held, in milliseconds. */
  readonly watchMs?: number | undefined;
  /**
   * Takes over from a process that held the attachments a moment ago: they are adopted without asking Cinder first, and
   * those without a lease are kept until settled().
   */
  readonly inPlace?: boolean | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: (() => number) | undefined;
  /** Stands between the pool and its journal, for tests that crash there. */
  readonly journalled?: ((journal: Journal) => Journal) | undefined;
}
