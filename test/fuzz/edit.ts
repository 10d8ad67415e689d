import fc from 'fast-check';
import { editJson, HOWS, JSON_VALUES } from './json-edit.js';

/** Changes of an input, as data: fast-check shrinks a failure to the few that matter. Places are shares of a length. */
export type Edit =
  | { readonly op: 'set'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly op: 'insert'; readonly at: number; readonly bytes: Uint8Array }
  | { readonly op: 'word'; readonly at: number; readonly word: number; readonly over: boolean }
  | {
      readonly op: 'number';
      readonly at: number;
      readonly width: 1 | 2 | 4 | 8;
      readonly little: boolean;
      readonly value: bigint;
    }
  | { readonly op: 'cut'; readonly at: number; readonly share: number }
  | { readonly op: 'repeat'; readonly at: number; readonly share: number; readonly times: number }
  | { readonly op: 'end'; readonly at: number }
  | { readonly op: 'splice'; readonly at: number; readonly other: number; readonly from: number }
  | {
      readonly op: 'json';
      readonly part: number;
      readonly node: number;
      readonly how: (typeof HOWS)[number];
      readonly value: unknown;
    };

/** Between the parts of an input that has several: files, answers. */
export const SEPARATOR = '\n%%%%\n';

const share = fc.double({ min: 0, max: 1, noNaN: true });
const bytes = fc.uint8Array({ minLength: 1, maxLength: 16 });
const NUMBERS = [
  0n,
  1n,
  7n,
  8n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0xffffn,
  0x1_0000n,
  0x7fff_ffffn,
  0x8000_0000n,
];
const LARGE = [0xffff_ffffn, 0x1_0000_0000n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
const number = fc.oneof(fc.constantFrom(...NUMBERS, ...LARGE), fc.bigInt({ min: 0n, max: 300n }));

const BYTE_EDITS = [
  fc.record({ op: fc.constant('set' as const), at: share, bytes }),
  fc.record({ op: fc.constant('insert' as const), at: share, bytes }),
  fc.record({
    op: fc.constant('number' as const),
    at: share,
    width: fc.constantFrom(1 as const, 2 as const, 4 as const, 8 as const),
    little: fc.boolean(),
    value: number,
  }),
  fc.record({ op: fc.constant('cut' as const), at: share, share }),
  fc.record({ op: fc.constant('repeat' as const), at: share, share, times: fc.nat(40) }),
  fc.record({ op: fc.constant('end' as const), at: share }),
  fc.record({ op: fc.constant('splice' as const), at: share, other: fc.nat(), from: share }),
];
const WORD_EDIT = fc.record({
  op: fc.constant('word' as const),
  at: share,
  word: fc.nat(),
  over: fc.boolean(),
});
const JSON_EDIT = fc.record({
  op: fc.constant('json' as const),
  part: fc.nat(),
  node: fc.nat(),
  how: fc.constantFrom(...HOWS),
  value: JSON_VALUES,
});

/** Edits for inputs like `seed`: of its structure too, where it has one. */
export function editsFor(seed: Buffer, words: readonly string[]): fc.Arbitrary<Edit> {
  const structured = /^\s*[[{]|\n[[{]/.test(seed.toString('latin1'));
  return fc.oneof(
    ...BYTE_EDITS.map((arbitrary) => ({ arbitrary, weight: 1 })),
    { arbitrary: WORD_EDIT, weight: words.length > 0 ? 6 : 0 },
    { arbitrary: JSON_EDIT, weight: structured ? 20 : 0 },
  );
}

/** Longest input; a change that would make it longer is cut there. */
const MOST_BYTES = 96 * 1024;

export function applyEdit(
  input: Buffer,
  edit: Edit,
  others: readonly Buffer[],
  words: readonly string[],
): Buffer {
  return apply(input, edit, others, words).subarray(0, MOST_BYTES);
}

function apply(input: Buffer, edit: Edit, others: readonly Buffer[], words: readonly string[]): Buffer {
  if (edit.op === 'json') return editJson(input, edit);
  const at = Math.round(edit.at * input.length);
  const [before, after] = [input.subarray(0, at), input.subarray(at)];
  switch (edit.op) {
    case 'set':
      return Buffer.concat([before, edit.bytes, after.subarray(edit.bytes.length)]);
    case 'insert':
      return Buffer.concat([before, edit.bytes, after]);
    case 'word': {
      const word = Buffer.from(words[edit.word % words.length] ?? '');
      return Buffer.concat([before, word, after.subarray(edit.over ? word.length : 0)]);
    }
    case 'number': {
      const written = numberBytes(edit);
      return Buffer.concat([before, written, after.subarray(written.length)]);
    }
    case 'cut':
      return Buffer.concat([before, after.subarray(Math.round(edit.share * after.length))]);
    case 'repeat': {
      const piece = after.subarray(0, Math.max(1, Math.round(edit.share * Math.min(after.length, 512))));
      return Buffer.concat([before, ...Array.from({ length: edit.times }, () => piece), after]);
    }
    case 'end':
      return before;
    case 'splice': {
      const other = others[edit.other % others.length] ?? input;
      return Buffer.concat([before, other.subarray(Math.round(edit.from * other.length))]);
    }
  }
}

function numberBytes({ width, little, value }: Extract<Edit, { op: 'number' }>): Buffer {
  const whole = Buffer.alloc(8);
  whole.writeBigUInt64LE(BigInt.asUintN(8 * width, value));
  const written = whole.subarray(0, width);
  return little ? written : Buffer.from(written).reverse();
}
