import type { CatalogImage } from '../../cinder/contract/catalog.js';

type Check = (value: unknown) => boolean;

const text: Check = (value) => typeof value === 'string';
const flag: Check = (value) => typeof value === 'boolean';
const size: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const date: Check = (value) => text(value) && !Number.isNaN(Date.parse(value as string));
const texts: Check = (value) => Array.isArray(value) && value.every(text);
const maybe =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);

const FIELDS: Readonly<Record<keyof CatalogImage, Check>> = {
  id: text,
  name: text,
  size,
  diskFormat: text,
  containerFormat: text,
  createdAt: date,
  updatedAt: date,
  hashAlgorithm: maybe(text),
  hashValue: maybe(text),
  encrypted: maybe(flag),
  volumeId: text,
  locations: maybe(texts),
  storeId: maybe(text),
  multiattach: flag,
  volumeGib: maybe(size),
  hidden: maybe(flag),
};

/** The image in a JSON value that an earlier process kept; undefined where a field is of another kind than an image's. */
export function keptImage(value: unknown): CatalogImage | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const fields = value as Readonly<Record<string, unknown>>;
  for (const [name, check] of Object.entries(FIELDS)) if (!check(fields[name])) return undefined;
  const image = value as CatalogImage;
  // JSON knows no dates.
  return { ...image, createdAt: new Date(image.createdAt), updatedAt: new Date(image.updatedAt) };
}
