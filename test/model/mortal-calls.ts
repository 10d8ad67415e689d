import type fc from 'fast-check';
import type { Clock } from '../../src/async/clock.js';
import { CinderfsError } from '../../src/errors.js';

/** What becomes of a call: `refuse` fails without effect, `lose` has its effect and fails all the same. */
export type Fate = 'none' | 'refuse' | 'lose';

/**
 * The calls of one life of the daemon. Each waits for the scheduler before its effect and before its answer; when the
 * life ends, nobody hears of what was under way. A request to Cinder still takes effect then (`late`); what the process
 * would have done itself does not (`never`).
 */
export class MortalCalls {
  #ended = false;
  /** Calls whose effect is still to come. */
  underWay = 0;
  readonly #scheduler: fc.Scheduler;
  readonly #nextFate: () => Fate;

  constructor(scheduler: fc.Scheduler, nextFate: () => Fate) {
    this.#scheduler = scheduler;
    this.#nextFate = nextFate;
  }

  end(): void {
    this.#ended = true;
  }

  get dead(): boolean {
    return this.#isOver();
  }

  /** `target` as this life sees it; `judge` sees each call right before its effect. */
  wrap<T extends object>(
    target: T,
    afterDeath: 'late' | 'never',
    judge: (name: string, args: readonly unknown[]) => void,
  ): T {
    return new Proxy(target, {
      get: (object, name) => {
        const value: unknown = Reflect.get(object, name, object);
        if (typeof value !== 'function') return value;
        const method = (...args: unknown[]): unknown => Reflect.apply(value, object, args);
        if (SYNCHRONOUS.has(String(name))) return method;
        return (...args: unknown[]) =>
          this.#call(String(name), afterDeath, () => {
            judge(String(name), args);
            return method(...args);
          });
      },
    });
  }

  /** Time as this life sees it: its timers die with it. */
  clock(clock: Clock): Clock {
    return {
      now: () => clock.now(),
      wall: () => clock.wall(),
      uptime: () => clock.uptime(),
      after: (ms, callback) => clock.after(ms, () => !this.dead && callback()),
    };
  }

  /** A call, because it changes while one waits. */
  #isOver(): boolean {
    return this.#ended;
  }

  async #call(name: string, afterDeath: 'late' | 'never', effect: () => unknown): Promise<unknown> {
    if (this.#isOver()) return NEVER;
    const fate = this.#nextFate();
    this.underWay++;
    await this.#scheduler.schedule(Promise.resolve(), name);
    this.underWay--;
    if (this.#isOver() && afterDeath === 'never') return NEVER;
    let answer: () => unknown = () => {
      throw failure(name, fate);
    };
    if (fate !== 'refuse') {
      const result = await settled(effect);
      if (fate === 'none') answer = result;
    }
    await this.#scheduler.schedule(Promise.resolve(), `${name} answers`);
    return this.#isOver() ? NEVER : answer();
  }
}

const NEVER = new Promise<never>(() => undefined);
const SYNCHRONOUS = new Set(['get', 'list', 'plan', 'unsettled']);

async function settled(effect: () => unknown): Promise<() => unknown> {
  try {
    const value = await effect();
    return () => value;
  } catch (error) {
    return () => {
      throw error as Error;
    };
  }
}

function failure(name: string, fate: Fate): CinderfsError {
  if (name === 'write' || name === 'remove') return new CinderfsError('journal_failed', 'no space left');
  if (HOST.has(name)) return new CinderfsError('connector_failed', `${name} failed`);
  return fate === 'refuse'
    ? new CinderfsError('http_failed', `${name} answered 503`, { status: 503 })
    : new CinderfsError('http_timeout', `${name} was not answered`);
}

const HOST = new Set(['connect', 'disconnect', 'adopt']);
