import { Secret } from '../secret.js';

/** A settings object as a message between processes, its secrets readable: for a private channel alone. */
export type Packed = unknown;

const SECRET = '$secret';
const NUMBER = '$number';

/** What JSON can carry of `value`: plain data, with secrets marked. */
export function pack(value: unknown): Packed {
  if (value instanceof Secret) return { [SECRET]: value.reveal() };
  // JSON has no infinity.
  if (typeof value === 'number' && !Number.isFinite(value)) return { [NUMBER]: String(value) };
  if (Array.isArray(value)) return value.map(pack);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, pack(member)]));
}

/** What pack() packed, frozen. */
export function unpack(packed: Packed): unknown {
  if (Array.isArray(packed)) return Object.freeze(packed.map(unpack));
  if (typeof packed !== 'object' || packed === null) return packed;
  const entries = Object.entries(packed);
  const [first] = entries;
  if (entries.length === 1 && first?.[0] === SECRET) return new Secret(String(first[1]));
  if (entries.length === 1 && first?.[0] === NUMBER) return Number(first[1]);
  return Object.freeze(Object.fromEntries(entries.map(([key, member]) => [key, unpack(member)])));
}
