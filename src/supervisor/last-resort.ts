import type { Clock } from '../async/clock.js';
import { EXIT, reasonOf } from '../errors.js';
import type { MountRequest } from '../fs/mount/mount-command.js';
import { findMount, type MountEntry } from '../sys/mounts/mount-table.js';
import { MountedPlace } from '../fs/mount/mounted-place.js';
import type { Log } from '../log.js';
import { ENDING_MS, unheardWithin } from './deadlines.js';
import type { EngineProcess, Ending } from './engine-process.js';
import type { FuseChannel } from './fuse-channel.js';

/** The first that says when it stops. */
const SAYS_STOPPING = 2;
const DOES_NOT_END = 'the engine does not end';

export interface LastResortParts {
  readonly channel: Pick<FuseChannel, 'mount'>;
  /** Milliseconds that an engine which is told to end waits for open files. */
  readonly drainMs: number;
  /** Called before the mount is cut off: no engine may come any more. */
  readonly onEnd: (why: string) => void;
  readonly log: Log;
  readonly clock: Clock;
}

type EndableEngine = Pick<EngineProcess, 'kill' | 'protocol' | 'said'>;

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
  /** The engine that was told to end, and the milliseconds that it has for its open files. */
  #told: EndableEngine | undefined;
  #drainMs = 0;
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

  /** Tells `engine` to end; used soon where it hangs. `hurried`: it does not wait for open files. */
  tell(engine: EndableEngine, signal: NodeJS.Signals, hurried: boolean): void {
    engine.kill(signal);
    this.#told = engine;
    this.#drainMs = hurried ? 0 : this.#parts.drainMs;
    // The exit of one that has unmounted need not take a signal any more.
    if (engine.protocol < SAYS_STOPPING || engine.said('ending')) this.stopping(engine);
    else this.in(unheardWithin(this.#drainMs), 'the engine does not take the signal that ends it');
  }

  /** `engine` has said that it stops; nothing for one that does not serve yet, which has a deadline for its start. */
  stopping(engine: EndableEngine): void {
    if (engine === this.#told) this.in(ENDING_MS + this.#drainMs, DOES_NOT_END);
  }

  /** The engine has said that the mount is gone. */
  ending(): void {
    this.in(ENDING_MS, DOES_NOT_END);
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
