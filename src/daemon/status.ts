import type { Clock } from '../async/clock.js';
import type { PoolService } from '../attach/service.js';
import type { Catalog } from '../cinder/contract/catalog.js';
import type { CinderfsError } from '../errors.js';
import type { ServedFile } from '../fs/contract/transport.js';
import {
  attachmentStatus,
  type DaemonStatus,
  type FailureStatus,
  type OpenFileStatus,
} from '../ops/status.js';
import type { Supervision } from '../supervisor/messages.js';
import { VERSION } from '../version.js';

export interface StatusParts {
  readonly mountpoint: string;
  readonly fuse: string;
  readonly cloud: string;
  readonly clock: Clock;
  readonly supervision: () => Supervision | undefined;
}

/** What there is to report once the mount stands. */
export interface ServingParts {
  readonly catalog: Catalog;
  readonly loginFailure: () => { readonly since: number; readonly error: CinderfsError } | undefined;
  readonly pool: Pick<PoolService, 'report' | 'figures' | 'lastErrors'>;
  readonly draining: () => boolean;
  /** Open handles and the image each belongs to. */
  readonly opened: () => readonly { readonly handle: number; readonly imageId: string }[];
  readonly served: () => readonly ServedFile[];
}

/** Draws the picture of this daemon; every answer is of the moment it is asked. */
export class StatusReporter {
  readonly #parts: StatusParts;
  readonly #startedAt: number;
  #serving: ServingParts | undefined;

  constructor(parts: StatusParts) {
    this.#parts = parts;
    this.#startedAt = parts.clock.now();
  }

  serving(parts: ServingParts): void {
    this.#serving = parts;
  }

  report(): DaemonStatus {
    const { clock, mountpoint, fuse, cloud } = this.#parts;
    const serving = this.#serving;
    const supervision = this.#parts.supervision();
    return {
      version: VERSION,
      pid: supervision?.supervisor_pid ?? process.pid,
      engine_pid: process.pid,
      supervision:
        supervision === undefined ? null : { restarts: supervision.restarts, upgrade: supervision.upgrade },
      mountpoint,
      state: serving === undefined ? 'starting' : serving.draining() ? 'draining' : 'serving',
      uptime_seconds: Math.round((clock.now() - this.#startedAt) / 1000),
      fuse,
      cloud,
      login_failure: loginFailure(serving),
      images: this.#images(serving),
      open_files: serving === undefined ? [] : openFiles(serving),
      attachments: serving === undefined ? [] : serving.pool.report().map(attachmentStatus),
      failures: serving === undefined ? [] : failures(serving),
      gauges: { ...serving?.pool.figures()?.gauges, open_handles: serving?.opened().length ?? 0 },
      counters: { ...serving?.pool.figures()?.counters },
    };
  }

  #images(serving: ServingParts | undefined): DaemonStatus['images'] {
    if (serving === undefined)
      return {
        count: 0,
        generation: 0,
        age_seconds: 0,
        last_error: null,
        failing_seconds: null,
        skipped: 0,
        refused: 0,
      };
    const { images, generation, at } = serving.catalog.snapshot;
    const { lastError, failingSince, skipped, refused } = serving.catalog.health;
    const age = (since: number): number => Math.max(0, Math.round((this.#parts.clock.wall() - since) / 1000));
    return {
      count: images.size,
      generation,
      age_seconds: age(at),
      last_error: lastError?.toLine() ?? null,
      failing_seconds: failingSince === undefined ? null : age(failingSince),
      skipped,
      refused,
    };
  }
}

/** Since when, and why, as a line; the request id is in it. */
function loginFailure(serving: ServingParts | undefined): DaemonStatus['login_failure'] {
  const failure = serving?.loginFailure();
  if (failure === undefined) return null;
  return { since: new Date(failure.since).toISOString(), reason: failure.error.toLine() };
}

function openFiles({ opened, served }: ServingParts): readonly OpenFileStatus[] {
  const how = new Map(served().map((file) => [file.handle, file.how]));
  const files = new Map<string, OpenFileStatus>();
  for (const { handle, imageId } of opened()) {
    const handles = (files.get(imageId)?.handles ?? 0) + 1;
    files.set(imageId, { image_id: imageId, handles, served: how.get(handle) ?? 'read' });
  }
  return [...files.values()];
}

function failures({ pool }: ServingParts): readonly FailureStatus[] {
  return pool.lastErrors().map(({ imageId, line }) => ({ image_id: imageId, last_error: line }));
}
