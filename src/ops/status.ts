/** One picture of a running daemon: `cinderfs status`, the control socket and /.cinderfs/status show this very shape. */
import type { AttachmentReport } from '../attach/contract/lease.js';
import type { ServedFile } from '../fs/contract/transport.js';
import type { ATTACH_METRICS, Counters, Gauges, MOUNT_METRICS } from '../metrics.js';

export interface DaemonStatus {
  readonly version: string;
  /** The process to send signals to: the supervisor where there is one. */
  readonly pid: number;
  /** The process that serves. */
  readonly engine_pid: number;
  /** Engines that died under this mount, and what became of the last upgrade; null without a supervisor. */
  readonly supervision: { readonly restarts: number; readonly upgrade: UpgradeReport | null } | null;
  readonly mountpoint: string;
  readonly state: 'starting' | 'serving' | 'draining';
  readonly uptime_seconds: number;
  readonly fuse: string;
  readonly cloud: string;
  /** Since when Keystone refuses or does not answer logins, and why; null while they succeed. */
  readonly login_failure: { readonly since: string; readonly reason: string } | null;
  readonly images: {
    readonly count: number;
    readonly generation: number;
    /** Seconds since the last listing that succeeded. */
    readonly age_seconds: number;
    /** Why the last listing failed; null when it did not. */
    readonly last_error: string | null;
    /** Seconds since the first listing that failed, none succeeded since. */
    readonly failing_seconds: number | null;
    /** Entries of the last listings that could not be understood. */
    readonly skipped: number;
    /** Images that are not served although Glance names a volume of theirs; the log says why. */
    readonly refused: number;
  };
  readonly open_files: readonly OpenFileStatus[];
  readonly attachments: readonly AttachmentStatus[];
  /** Images whose last open or read failed, and why. */
  readonly failures: readonly FailureStatus[];
  /** See metrics.ts. Those of the attachments are there once the mount serves. */
  readonly gauges: Gauges<typeof MOUNT_METRICS> & Partial<Gauges<typeof ATTACH_METRICS>>;
  readonly counters: Readonly<Counters<typeof MOUNT_METRICS> & Partial<Counters<typeof ATTACH_METRICS>>>;
}

export interface FailureStatus {
  readonly image_id: string;
  readonly last_error: string;
}

/** What became of `cinderfs upgrade`. */
export interface UpgradeReport {
  /** The number its caller gave it. */
  readonly id: string;
  /** Milliseconds in which no engine served; 0 when the old engine was never paused. */
  readonly pause_ms: number;
  /** Why the old engine goes on; null when the new one has taken over. */
  readonly failed: string | null;
}

export interface OpenFileStatus {
  readonly image_id: string;
  readonly handles: number;
  readonly served: ServedFile['how'];
}

export interface AttachmentStatus {
  readonly volume_id: string;
  readonly image_id: string;
  readonly image_name: string;
  readonly attachment_id: string | null;
  readonly clone_id: string | null;
  readonly state: string;
  readonly leases: number;
  readonly linger_left_seconds: number | null;
  readonly age_seconds: number;
  readonly source: string | null;
  readonly last_error: string | null;
}

const seconds = (ms: number): number => Math.round(ms / 100) / 10;

/** An attachment as the outside sees it: names as in OpenStack's JSON, times in seconds. */
export function attachmentStatus(report: AttachmentReport): AttachmentStatus {
  return {
    volume_id: report.volumeId,
    image_id: report.imageId,
    image_name: report.imageName,
    attachment_id: report.attachmentId ?? null,
    clone_id: report.cloneId ?? null,
    state: report.state,
    leases: report.leases,
    linger_left_seconds: report.lingerLeftMs === undefined ? null : seconds(report.lingerLeftMs),
    age_seconds: seconds(report.ageMs),
    source: report.source ?? null,
    last_error: report.lastError ?? null,
  };
}
