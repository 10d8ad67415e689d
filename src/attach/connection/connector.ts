import type { CinderfsError } from '../../errors.js';
import type { ConnectionInfo } from '../../cinder/contract/attachments.js';
import type { HostRecord } from '../journal/record.js';
import type { Source } from '../../sources/contract/source.js';

export interface ConnectRequest {
  readonly volumeId: string;
  /** Holds secrets: never logged, never stored. */
  readonly info: ConnectionInfo;
  /** Aborts when the result is not wanted any more; what was begun is undone before connect() settles. */
  readonly signal: AbortSignal;
  /** Ids of the volume's snapshots, as Cinder lists them. Undefined where it was not asked: no file of one is read. */
  readonly snapshots?: readonly string[] | undefined;
  /** All bytes are compared with Glance's hash before the first is served. */
  readonly compared?: boolean | undefined;
  /** No other host can have the volume attached: its device may be made read-only. */
  readonly exclusive?: boolean | undefined;
}

/**
 * A way for this host to reach a volume's bytes: the host half of an attachment.
 *
 * Order: plan() names what will be made, so that it can be journaled; connect() makes it; disconnect() removes what a
 * plan names, whether connect() ran, failed half-way or was cut by a crash. Never touches what it did not make.
 */
export interface Connector {
  readonly name: string;
  /** Its devices are the host's: other services here that attach the same volume get, and remove, the same ones. */
  readonly sharesDevices?: true;
  /** connect() only looks: there is nothing that disconnect() would have to remove. */
  readonly makesNothing?: true;
  /** Undefined when it can reach such a volume on this host, else why not. Changes nothing. */
  refusal(info: ConnectionInfo): Promise<CinderfsError | undefined>;
  plan(request: Pick<ConnectRequest, 'volumeId' | 'info'>): HostRecord;
  /** Rejects with `connector_failed`, `connector_missing` or `protocol_unsupported`, leaving nothing behind. */
  connect(request: ConnectRequest, plan: HostRecord): Promise<Connected>;
  /** What an earlier process connected and is still whole, or undefined. */
  adopt(host: HostRecord): Promise<Connected | undefined>;
  /** Idempotent; already gone is success. Rejects when removal cannot be proven. */
  disconnect(host: HostRecord): Promise<void>;
  /** Whether the process that read it is gone and closed nothing: its backend may count it as a reader for a while. */
  abandoned?(host: HostRecord): Promise<boolean>;
  /** A connect() of that volume was written off and still runs: what it makes cannot be removed yet. */
  unsettled?(volumeId: string): boolean;
  /** Ends what still reads this volume though no journal says so. */
  endStray?(volumeId: string): Promise<void>;
  /** Instead of disconnect(), where another process of this host uses the device: forgets it without removing it. */
  leave?(host: HostRecord): Promise<void>;
}

/** A volume that can be read on this host. */
export interface Connected {
  readonly source: Source;
  /** The plan, completed with what was learnt while connecting. */
  readonly host: HostRecord;
  /** Aborts when it vanished without our doing; `reason` is a CinderfsError. */
  readonly lost: AbortSignal;
  /** What the device itself says it is called for ever (WWN, NGUID), the same on every path; where it says so. */
  readonly deviceName?: string | undefined;
  /**
   * Which object the source names at this moment, as far as the host can tell (device and inode, disk sequence): it may
   * not change while connected. Undefined where the source cannot be swapped under us.
   */
  readonly object: () => Promise<string | undefined>;
  /** Bytes that can be read. */
  readonly size: () => Promise<number>;
  /** Exactly `length` bytes from `offset`, not from a cache where that can be avoided. */
  readonly read: (offset: number, length: number) => Promise<Buffer>;
}
