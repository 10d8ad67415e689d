import type { Metric } from './metrics/metric.js';
import { summarize, type Summary } from './statistics.js';

/** One line of the report. */
export interface Row extends Summary {
  readonly backing: string;
  readonly server: string;
  readonly metric: string;
  readonly unit: Metric['unit'];
  /** Median over the median of `direct` on the same backing in this run; null where direct has no such figure. */
  readonly ratio: number | null;
}

const DIRECT = 'direct';

/** Everything measured in one run. */
export class Samples {
  readonly #groups = new Map<string, Group>();

  add(backing: string, server: string, metric: Pick<Metric, 'name' | 'unit'>, value: number): void {
    const key = keyOf(backing, server, metric.name);
    const group = this.#groups.get(key) ?? { backing, server, metric, values: [] };
    group.values.push(value);
    this.#groups.set(key, group);
  }

  /** One row for each thing measured, in the order it was first measured. */
  rows(): Row[] {
    return [...this.#groups.values()].map(({ backing, server, metric, values }) => {
      const summary = summarize(values);
      const base = this.#groups.get(keyOf(backing, DIRECT, metric.name));
      const ratio = base === undefined ? null : summary.median / summarize(base.values).median;
      return { backing, server, metric: metric.name, ...summary, unit: metric.unit, ratio: finite(ratio) };
    });
  }
}

interface Group {
  readonly backing: string;
  readonly server: string;
  readonly metric: Pick<Metric, 'name' | 'unit'>;
  readonly values: number[];
}

function keyOf(...parts: string[]): string {
  return parts.join('\n');
}

/** To a direct figure of zero there is no ratio. */
function finite(ratio: number | null): number | null {
  return ratio !== null && Number.isFinite(ratio) ? ratio : null;
}
