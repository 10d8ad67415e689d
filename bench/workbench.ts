import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Cleanup } from '../src/async/cleanup.js';
import type { BenchOptions } from './options.js';

/** Where a run works and what it must undo. */
export class Workbench {
  readonly options: BenchOptions;
  readonly cleanup: Cleanup;
  /** In tmpfs: the medium must not be what is measured. */
  readonly directory: string;
  /** Aborts when the run is to end early; load generators are killed then. */
  readonly signal: AbortSignal;
  #rooms = 0;

  private constructor(options: BenchOptions, cleanup: Cleanup, directory: string, signal: AbortSignal) {
    this.options = options;
    this.cleanup = cleanup;
    this.directory = directory;
    this.signal = signal;
  }

  static async open(options: BenchOptions, signal: AbortSignal): Promise<Workbench> {
    const directory = await mkdtemp('/dev/shm/cinderfs-bench-');
    const cleanup = new Cleanup();
    cleanup.defer(`remove ${directory}`, () => rm(directory, { recursive: true }));
    return new Workbench(options, cleanup, directory, signal);
  }

  /** A new empty directory and the cleanup of what is started in it, which the run's own cleanup includes. */
  async room(): Promise<Room> {
    const directory = join(this.directory, `room-${(this.#rooms += 1)}`);
    await mkdir(directory);
    const cleanup = new Cleanup();
    cleanup.defer(`remove ${directory}`, () => rm(directory, { recursive: true }));
    this.cleanup.defer(directory, async () => reportFailures(await cleanup.run()));
    return { directory, cleanup };
  }
}

export interface Room {
  readonly directory: string;
  readonly cleanup: Cleanup;
}

function reportFailures(failures: Awaited<ReturnType<Cleanup['run']>>): void {
  if (failures.length === 0) return;
  throw new AggregateError(
    failures.map(({ error }) => error),
    failures.map(({ what, error }) => `${what}: ${String(error)}`).join('; '),
  );
}
