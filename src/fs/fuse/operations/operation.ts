import type { Filesystem } from '../../contract/filesystem.js';
import type { DirectorySnapshots } from './directory-snapshots.js';
import type { DirectoryStream } from './directory-stream.js';
import type { RestoredFiles } from '../files/restored-files.js';
import type { ReplyErrno } from '../protocol/errno.js';
import type { HandleQuota } from '../files/handle-quota.js';
import type { KnownNodes } from './known-nodes.js';
import type { OpenFiles } from '../files/open-files.js';
import type { Opened } from '../files/opened.js';
import type { ReadRoutes } from '../pool/read-routes.js';
import type { Request, Shape } from '../protocol/request.js';

/** What operations work with. */
export interface OperationContext {
  readonly filesystem: Filesystem;
  readonly attributeTtlSeconds: number;
  readonly nodes: KnownNodes;
  readonly files: OpenFiles;
  /** Files that an earlier engine of this mount had open. */
  readonly earlier: RestoredFiles;
  /** Whether there was an earlier engine: directories it had open are opened again when they are read. */
  readonly tookOver: boolean;
  readonly directories: Map<number, DirectoryStream>;
  readonly snapshots: DirectorySnapshots;
  readonly quota: HandleQuota;
  /** A number for an open directory. */
  readonly nextDirectory: () => number;
  /** A file was opened that workers may read. */
  readonly onOpened: (opened: Opened) => void;
  /** Which way a READ goes that no worker answered. */
  readonly routes: Pick<ReadRoutes, 'kept' | 'queue'>;
  /** The caller of `unique` gave up. False: no such request is known (yet). */
  readonly interrupt: (unique: bigint) => boolean;
}

/** The answer to a request. */
export interface Answer {
  readonly payload: readonly Buffer[];
  /** Takes back what the answer would have handed over, when the kernel does not take it. */
  readonly undelivered?: () => void;
}

/** The request wants no answer, or another part of the engine answers it. */
export const UNANSWERED = Symbol('unanswered');

/** An error that is an ordinary part of the protocol: nothing to log. */
export interface Refusal {
  readonly errno: ReplyErrno;
}

export type Outcome = Answer | Refusal | typeof UNANSWERED;

/** How long a request may wait. */
export interface Waits {
  /** Aborts when the caller gave up. */
  readonly signal: AbortSignal;
  /** When it came, in milliseconds of the clock: its deadline counts from here, whatever way it takes. */
  readonly since: number;
  /** Milliseconds that it had waited before it came here. */
  readonly waitedMs: number;
}

/** One opcode: how its body is read and what is done. `undefined` from decode marks a malformed request. */
export interface Operation {
  readonly decode: (body: Buffer) => BoundOperation | undefined;
}

export type BoundOperation = (
  context: OperationContext,
  request: Request,
  waits: Waits,
) => Promise<Outcome> | Outcome;

/** Ties the shape of a body to the handler that takes it. */
export function operation<T>(
  shape: Shape<T>,
  handle: (
    context: OperationContext,
    call: Waits & { readonly request: Request; readonly arguments: T },
  ) => Promise<Outcome> | Outcome,
): Operation {
  return {
    decode(body) {
      const decoded = shape(body);
      if (decoded === undefined) return undefined;
      return (context, request, waits) => handle(context, { request, arguments: decoded, ...waits });
    },
  };
}

export const EMPTY: Answer = { payload: [] };

export function answer(...payload: Buffer[]): Answer {
  return { payload };
}

export function refuse(errno: ReplyErrno): Refusal {
  return { errno };
}
