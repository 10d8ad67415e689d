/** What several measurements of one thing say together. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/**
 * The middle value: of an even number of values, the mean of the two in the middle. One disturbed repetition does
 * not move it, which a mean cannot say. Throws a RangeError for no values and for any that is not finite.
 */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('no values have no median');
  if (!values.every(Number.isFinite)) throw new RangeError(`not all finite: ${values.join(', ')}`);
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted.length >> 1;
  const lower = sorted.length % 2 === 0 ? upper - 1 : upper;
  return (at(sorted, lower) + at(sorted, upper)) / 2;
}

/** Median and extremes. Throws as median() does. */
export function summarize(values: readonly number[]): Summary {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

function at(values: readonly number[], index: number): number {
  const value = values[index];
  if (value === undefined) throw new RangeError(`no value ${index} of ${values.length}`);
  return value;
}
