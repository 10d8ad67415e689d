import type { Clock } from '../async/clock.js';
import { EXIT, reasonOf } from '../errors.js';
import type { MountRequest } from '../fs/mount/mount-command.js';
import { findMount, type MountEntry } from '../sys/mounts/mount-table.js';
import { MountedPlace } from '../fs/mount/mounted-place.js';
import type { Log } from '../log.js';
import type { Ending } from './engine-process.js';
import type { FuseChannel } from './fuse-channel.js';

export interface LastResortParts {
  readonly channel: Pick<FuseChannel, 'mount'>;
  /** Called before the mount is cut off: no engine may come any more. */
  readonly onEnd: (why: string) => void;
  readonly log: Log;
  readonly clock: Clock;
}

/**
 * Ends a mount that no engine ends: the supervisor itself cuts it off. What is attached stays so, in the journal; the
 * next start settles that.
 */
export class LastResort {
  /** Settles when it had to be used: how the supervisor ends then. */
  readonly used: Promise<Ending>;
  readonly #parts: LastResortParts;
  #place: MountEntry | undefined;
  #mounting: Promise<void> = Promise.resolve();
  #cancel: () => void = () => undefined;
  #use: (ending: Ending) => void = () => undefined;
  #inUse = false;

  constructor(parts: LastResortParts) {
    this.#parts = parts;
    this.used = new Promise((resolve) => (this.#use = resolve));
  }

  /** Whether no engine may be started any more. */
  get inUse(): boolean {
    return this.#inUse;
  }

  /** The mount, once it stands. */
  get place(): MountEntry | undefined {
    return this.#place;
  }

  /** Mounts, and knows from then on what there is to end. */
  async mount(request: MountRequest): Promise<void> {
    const mounted = this.#parts.channel.mount(request).then(async () => {
      this.#place = await findMount(request.mountpoint);
    });
    this.#mounting = mounted.catch(() => undefined);
    await mounted;
  }

  /** It is used in `ms`, unless the mount has ended by then. A later call replaces an earlier one. */
  in(ms: number, why: string): void {
    this.off();
    this.#cancel = this.#parts.clock.after(ms, () => void this.#end(why));
  }

  off(): void {
    this.#cancel();
  }

  /** Removes a mount that no process serves any more; nothing where none was made. */
  async undo(): Promise<void> {
    await this.#mounting;
    if (this.#place === undefined) return;
    await new MountedPlace(this.#place).cutOff().catch((error: unknown) => {
      this.#parts.log.error({ reason: reasonOf(error) }, 'cannot end the mount');
    });
  }

  async #end(why: string): Promise<void> {
    const { log, onEnd } = this.#parts;
    this.#inUse = true;
    log.error({ reason: why }, 'ending the mount without an engine; what is attached stays attached for now');
    onEnd(why);
    await this.undo();
    this.#use({ status: EXIT.timeout, signal: null });
  }
}
