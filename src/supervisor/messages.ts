/**
 * What the supervisor and an engine tell each other, over the IPC channel of the engine's process. They may be of
 * different versions (protocol.ts): a new field is optional, a kind that the other side does not know is ignored there.
 */
import type { ErrorCode } from '../errors.js';
import type { MountRequest } from '../fs/mount/mount-command.js';
import type { Agreement } from '../fs/fuse/protocol/negotiation.js';
import type { MountEntry } from '../sys/mounts/mount-table.js';
import type { UpgradeReport } from '../ops/status.js';
import type { Speaker } from './protocol.js';
import type { ProcessName } from '../sys/processes/process-name.js';

/** An Agreement in JSON, which has no bigint. */
export interface SentAgreement {
  readonly minor: number;
  readonly flags: string;
}

/** How the mount is supervised, as status reports it. */
export interface Supervision {
  readonly supervisor_pid: number;
  /** Engines that died under this mount. */
  readonly restarts: number;
  readonly upgrade: UpgradeReport | null;
}

/** A mount that is there already. */
export interface ServedMount {
  readonly mountpoint: string;
  readonly agreement: SentAgreement;
  /** Whether it can outlive the engine that serves it. */
  readonly outlives: boolean;
  /** As the kernel numbered it; undefined where it was unmounted before it could be looked up. */
  readonly place?: MountEntry | undefined;
}

export type ToEngine =
  /** First of all: how the mount was started, which is for the command line to read (cli/settings/kept-settings.ts). */
  | ({ readonly kind: 'settings'; readonly settings: unknown } & Speaker)
  /** Its turn: for the first engine without a mount, for later ones with the mount that stands. */
  | {
      readonly kind: 'begin';
      readonly generation: number;
      readonly mount?: ServedMount | undefined;
      /** In an upgrade the engine that serves until now; it is stopped. */
      readonly predecessor?: ProcessName | undefined;
      readonly supervision: Supervision;
    }
  /** `socket`: the descriptor is to be received from descriptor 3; otherwise it is descriptor 3. */
  | { readonly kind: 'mounted'; readonly socket: boolean }
  | {
      readonly kind: 'not_mounted';
      readonly code: ErrorCode;
      readonly message: string;
      readonly remedy: string;
    }
  /** No other process reads the descriptor any more: begin to answer. */
  | { readonly kind: 'serve' }
  /** Come to rest for a successor; answered `yielded` or `refused`. */
  | { readonly kind: 'yield' }
  /** The successor did not take over: go on. */
  | { readonly kind: 'resume' }
  | { readonly kind: 'news'; readonly supervision: Supervision };

export type ToSupervisor =
  /** May begin, nothing touched yet. */
  | ({ readonly kind: 'warm' } & Speaker)
  /** Its threads have loaded as well: beginning takes it no longer than it must. */
  | { readonly kind: 'hot' }
  | { readonly kind: 'mount'; readonly request: MountRequest }
  | { readonly kind: 'agreed'; readonly mount: ServedMount }
  /** Everything that was open is open again. */
  | { readonly kind: 'recovered' }
  /** The mount has answered a stat through the kernel. */
  | { readonly kind: 'serving' }
  /** It cannot start; it exits with `exit` right after. */
  | { readonly kind: 'failed'; readonly exit: number; readonly line: string }
  /** It has taken the signal that ends it, and drains; an engine of protocol 1 does not say so. */
  | { readonly kind: 'stopping' }
  /** The kernel has let go of the mount: what follows is the end. */
  | { readonly kind: 'ending' }
  | { readonly kind: 'upgrade'; readonly id: string }
  | { readonly kind: 'yielded' }
  | { readonly kind: 'refused'; readonly reason: string };

export function packAgreement({ minor, flags }: Agreement): SentAgreement {
  return { minor, flags: String(flags) };
}

export function unpackAgreement({ minor, flags }: SentAgreement): Agreement {
  return { minor, flags: BigInt(flags) };
}
