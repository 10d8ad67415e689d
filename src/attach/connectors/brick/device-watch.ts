import { watch } from 'node:fs';
import { access } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { CinderfsError } from '../../../errors.js';
import { kernelText } from '../../../sys/files/kernel-text.js';

/** How often the kernel's counters are looked at, in milliseconds: reading one costs microseconds. */
const LOOK_MS = 250;

export interface Watched {
  /** /dev/NAME. */
  readonly path: string;
  /** Its disks, as cinderfs-brick names them. */
  readonly paths: readonly string[];
  /** Asks the device for its identity; rejects while it does not answer. */
  readonly identity: () => Promise<string>;
  /** It is asked at least this often, in milliseconds. */
  readonly askMs: number;
}

/**
 * Notices that a device went away or became another volume, without our doing. It leaves /dev as soon as the kernel lets
 * go of it; asking the device itself shows when another disk has its name by then, and says so (vanished). A LUN
 * that an array maps anew under a live path keeps its device: there the array raises a unit attention with the next
 * command, which the kernel swallows but counts as an error of the disk. So whenever that count grows the device has to
 * identify itself again; and now and then without a reason, for a target that raises none (the kernel's own does so only
 * for a session's other LUNs).
 */
export class DeviceWatch {
  readonly lost: AbortSignal;
  readonly #lost = new AbortController();
  readonly #watched: Watched;
  readonly #proven: string;
  readonly #directory: ReturnType<typeof watch>;
  readonly #timer: ReturnType<typeof setInterval>;
  #errors: string | undefined;
  #asking = false;
  #askedAt = performance.now();

  constructor(watched: Watched, proven: string) {
    this.#watched = watched;
    this.#proven = proven;
    this.lost = this.#lost.signal;
    this.#directory = watch(dirname(watched.path), { persistent: false }, (_, name) => {
      if (name === basename(watched.path)) void this.look();
    });
    this.#timer = setInterval(() => void this.look(), LOOK_MS).unref();
  }

  stop(): void {
    this.#directory.close();
    clearInterval(this.#timer);
  }

  /** Our disk is gone, whatever has its name now. The error for the caller that found it out. */
  vanished(): CinderfsError {
    const { path } = this.#watched;
    const why = new CinderfsError('connector_failed', `${path} vanished from this host`, { path });
    this.#lose(why);
    return why;
  }

  /** Looks now. */
  async look(): Promise<void> {
    const { path, paths } = this.#watched;
    const there = await access(path).then(
      () => true,
      () => false,
    );
    if (!there) {
      this.vanished();
      return;
    }
    const errors = (await Promise.all(paths.map(errorsOf))).join(' ');
    this.#errors ??= errors;
    const due = performance.now() - this.#askedAt >= this.#watched.askMs;
    if ((due || errors !== this.#errors) && !this.#asking) await this.#ask(errors);
  }

  /** Silence proves nothing: a path that is down serves no byte either. It is asked again until it answers. */
  async #ask(errors: string): Promise<void> {
    const { path, identity } = this.#watched;
    this.#asking = true;
    this.#askedAt = performance.now();
    try {
      if ((await identity()) === this.#proven) this.#errors = errors;
      else this.#lose(new CinderfsError('identity_mismatch', `${path} is another volume now`, { path }));
    } catch {
      // Asked again at the next look.
    } finally {
      this.#asking = false;
    }
  }

  #lose(reason: CinderfsError): void {
    this.stop();
    this.#lost.abort(reason);
  }
}

/** Commands of a SCSI disk that failed, unit attentions included, since it is here; nothing for other disks. */
function errorsOf(disk: string): Promise<string> {
  return kernelText(`/sys/class/block/${disk}/device/ioerr_cnt`);
}
