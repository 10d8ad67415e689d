/** What operators write as the value of a setting. */
import fc from 'fast-check';
import { plain, quoted, type Mapping, type Tree } from './tree.js';

export const urls = fc.constantFrom(
  ...['', '/', '/v3', '/v3/', '/identity', '/identity/', '/identity/v3', '/v2.0', '/v3/auth/tokens'].flatMap(
    (path) => [`http://k.test${path}`, `https://k.test:5000${path}`],
  ),
  'http://[::1]:5000/v3',
);
export const formattedUrls = fc.constantFrom(
  'http://{region_name}.test/v3',
  'http://k.test/{nothing}',
  'http://k.test/{{x}}/v3',
);
const words = fc.constantFrom('alice', 'p-1', 'svc', '0f3ad5e4b1c2', 'Ünï', 'a b', "it's", '{region_name}');
/** What PyYAML would make something else of without quotes. */
const converted = fc.constantFrom(
  ...[
    '1e3',
    '12e4',
    '0123',
    '007',
    '0o17',
    '0x1F',
    '3.10',
    '+49123',
    '1:30',
    '2024-01-01',
    'yes',
    'Off',
    '1_000',
  ],
  '12345678901234567890',
);
export const scalar = fc.oneof(
  { weight: 8, arbitrary: words.map(quoted) },
  { weight: 3, arbitrary: fc.tuple(converted, fc.boolean()).map(([text, bare]) => ({ text, plain: bare })) },
  { weight: 1, arbitrary: fc.constantFrom(plain('~'), plain('null'), quoted(''), quoted('null')) },
);
export const bool = fc.constantFrom(
  ...['true', 'false', 'yes', 'no', 'on', 'off', 'True', 'FALSE'].map(plain),
  ...['true', 'False', 'no'].map(quoted),
);
export const region = fc.constantFrom('R1', 'R2', 'R3');
export const side = fc.constantFrom('public', 'internal', 'admin', 'publicURL', 'internalURL', 'outer');
export const sides = fc.oneof(
  { weight: 4, arbitrary: side.map(quoted) },
  { weight: 1, arbitrary: fc.array(side.map(quoted), { minLength: 1, maxLength: 3 }) },
);
export const path = fc.constantFrom('~/ca.pem', '/etc/ssl/x.pem', 'ca.pem', '~root/ca.pem');
export const override = fc.constantFrom(
  'http://o.test:8776/v3',
  'http://o.test/v3/%(project_id)s',
  'http://o.test/%(tenant_id)s',
  'http://{region_name}.test/',
);
export const type = fc.constantFrom(
  'image',
  'block-storage',
  'volumev3',
  'volumev2',
  'volume',
  'block-store',
);

/** Each key left out more often than not; values may be trees or arbitraries of scalars. */
export function some(keys: Readonly<Record<string, fc.Arbitrary<Tree>>>): fc.Arbitrary<Mapping> {
  const entries = Object.entries(keys).map(([key, value]) =>
    fc.option(value, { freq: 3, nil: undefined }).map((tree) => [key, tree] as const),
  );
  return fc
    .tuple(...entries)
    .chain((found) => fc.shuffledSubarray(found.filter(([, tree]) => tree !== undefined)))
    .map((kept) => Object.fromEntries(kept) as Mapping);
}
