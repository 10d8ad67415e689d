import { sleep, type Clock } from '../async/clock.js';
import type { PoolService } from '../attach/service.js';
import { CinderfsError, reasonOf } from '../errors.js';
import type { Log } from '../log.js';
import type { MountedTransport } from '../fs/contract/transport.js';
import type { Handover } from '../supervisor/link.js';
import type { OpenGate } from './open-gate.js';

export interface DaemonHandoverParts {
  readonly pool: PoolService;
  readonly gate: OpenGate;
  readonly transport: MountedTransport;
  /** Closes the control socket, and opens it again. */
  readonly control: { close(): Promise<void>; open(): Promise<void> };
  readonly clock: Clock;
  readonly log: Log;
}

/** How long an attach or detach that is under way may take; the successor could only undo it. */
const REST_MS = 10_000;
const LOOK_MS = 10;
/** What is still to be done to go on is done in the background then. */
const GO_ON_MS = 5_000;
const AGAIN_MS = 1_000;
const AT_REST = new Set(['attached', 'lingering', 'parked', 'detached']);

/**
 * Lets another process take this mount over: openers wait, what is being attached or detached is finished, and what
 * only one process can own is given up. Reads go on until the supervisor stops this process.
 */
export class DaemonHandover implements Handover {
  readonly #parts: DaemonHandoverParts;
  /** Aborted when this process is told to go on; undefined while it does. */
  #yielding: AbortController | undefined;

  constructor(parts: DaemonHandoverParts) {
    this.#parts = parts;
  }

  async yield(): Promise<void> {
    const { pool, gate, control } = this.#parts;
    if (gate.closed) throw new CinderfsError('draining', 'the mount is being taken down');
    const yielding = (this.#yielding = new AbortController());
    gate.hold();
    try {
      await this.#rest();
      await control.close();
      await pool.handOver();
    } catch (error) {
      await this.resume();
      throw error;
    }
    // Told to go on while it came to rest.
    if (yielding.signal.aborted) await this.#goOn();
  }

  async resume(): Promise<void> {
    if (this.#yielding === undefined) return;
    this.#yielding.abort();
    this.#yielding = undefined;
    await this.#goOn();
  }

  async #goOn(): Promise<void> {
    const { pool, gate, transport, control } = this.#parts;
    transport.resume?.();
    const whole = this.#untilDone('take the state directory back', () => pool.takeBack())
      .then((done) => done && gate.letGo())
      .then(() => this.#untilDone('open the control socket again', () => control.open()));
    await Promise.race([whole, sleep(this.#parts.clock, GO_ON_MS)]);
  }

  /** Tries again and again, reads go on meanwhile: false where that ends in another hand-over or the end of the mount. */
  async #untilDone(what: string, step: () => Promise<void>): Promise<boolean> {
    const { gate, clock, log } = this.#parts;
    for (let attempt = 0; this.#yielding === undefined && !gate.closed; attempt++) {
      try {
        await step();
        return true;
      } catch (error) {
        if (attempt === 0) log.error({ reason: reasonOf(error) }, `cannot ${what} yet; trying again`);
        await sleep(clock, AGAIN_MS);
      }
    }
    return false;
  }

  async #rest(): Promise<void> {
    const { pool, clock } = this.#parts;
    const until = clock.now() + REST_MS;
    for (;;) {
      const busy = pool.report().find(({ state }) => !AT_REST.has(state));
      if (busy === undefined) return;
      if (clock.now() >= until)
        throw new CinderfsError('holders', `volume ${busy.volumeId} is ${busy.state}; try again later`);
      await sleep(clock, LOOK_MS);
    }
  }
}
