import { readFile } from 'node:fs/promises';
import { moment } from '../support/time.js';

const TICKS_PER_SECOND = 100; // USER_HZ, on every Linux
const LOOK_MS = 100;

/** Keeps everything the soak runs within a share of one core: readers wait here for their turn. */
export class Pace {
  readonly #cores: number;
  readonly #begun = performance.now();

  constructor(cores: number) {
    this.#cores = cores;
  }

  /** Resolves when less was used than our share; `living` are children that still run. */
  async turn(living: () => readonly number[]): Promise<void> {
    for (;;) {
      const used = await Promise.all([
        secondsOf(process.pid, 'with children'),
        ...living().map((pid) => secondsOf(pid, 'itself')),
      ]);
      const share = (this.#cores * (performance.now() - this.#begun)) / 1000;
      if (used.reduce((sum, one) => sum + one, 0) <= share + 5) return;
      await moment(LOOK_MS);
    }
  }
}

async function secondsOf(pid: number, what: 'itself' | 'with children'): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  // utime, stime, and those of the children that were waited for.
  const counted = fields.slice(11, what === 'itself' ? 13 : 15);
  return counted.reduce((sum, ticks) => sum + ticks, 0) / TICKS_PER_SECOND;
}
