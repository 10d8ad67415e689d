import { qcow2, withBackingFormat } from '../../head/crafted-images.js';

const MOST_NAME = 2048;

/** The head of a file as JSON describes it: what the file below is called, and of what format; `raw` where it does not. */
export function headOf(described: unknown, raw: string): Buffer {
  if (typeof described !== 'object' || described === null) return Buffer.from(raw, 'latin1');
  const { version = 3, backing, format, features = [] } = described as Readonly<Record<string, unknown>>;
  return withBackingFormat(
    qcow2({
      version: version === 2 ? 2 : 3,
      ...(backing === undefined ? {} : { backing: textOf(backing) }),
      features: Array.isArray(features)
        ? (features.filter((bit) => Number.isInteger(bit) && bit < 64 && bit >= 0) as number[])
        : [],
      bytes: 4096,
    }),
    format === undefined ? undefined : textOf(format),
  );
}

function textOf(value: unknown): string {
  return (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, MOST_NAME);
}
