import type { Metric } from './metrics/metric.js';

/** A figure for people, to three significant digits: `2.94 GB/s`, `41.2k/s`, `1.02x`, `64.1 us`, `97.3 MiB`. */
export function formatValue(value: number, unit: Metric['unit']): string {
  switch (unit) {
    case 'bytes/s':
      return value >= 1e9 ? `${digits(value / 1e9)} GB/s` : `${digits(value / 1e6)} MB/s`;
    case 'operations/s':
      return value >= 1e3 ? `${digits(value / 1e3)}k/s` : `${digits(value)}/s`;
    case 'times':
      return `${value.toFixed(2)}x`;
    case 'seconds':
      return formatSeconds(value);
    case 'seconds/GiB':
      return `${formatSeconds(value)}/GiB`;
    case 'bytes':
      return `${digits(value / 2 ** 20)} MiB`;
  }
}

function formatSeconds(value: number): string {
  if (value >= 1) return `${digits(value)} s`;
  return value >= 1e-3 ? `${digits(value * 1e3)} ms` : `${digits(value * 1e6)} us`;
}

/** Three significant digits, never in exponents: 1640, 164, 16.4, 1.64. */
function digits(value: number): string {
  return Number(value.toPrecision(3)).toString();
}
