import type { Machine } from './machine.js';
import type { Row } from './samples.js';

/** One run, as `--out` writes it. */
export interface Report {
  readonly machine: Machine;
  /** ISO 8601, when the run began. */
  readonly date: string;
  readonly rows: readonly Row[];
}

export function toJson(report: Report): string {
  return `${JSON.stringify(report, undefined, 2)}\n`;
}
