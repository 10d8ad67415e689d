import { endianness } from 'node:os';

/**
 * How a C structure of linux/fuse.h becomes an object and back, derived from a table of field names and types. The
 * protocol uses host byte order; every structure is naturally aligned and its padding is spelled out as fields.
 */
export type FieldType = 'u16' | 'u32' | 'i32' | 'u64' | 'i64' | 'id64';
export type Fields = Readonly<Record<string, FieldType>>;

/** 64-bit numbers are exact below 2^53 (sizes, offsets, nodes); `id64` is exact always (request ids). */
export type Values<F extends Fields> = { readonly [K in keyof F]: F[K] extends 'id64' ? bigint : number };

export interface Struct<F extends Fields> {
  readonly fields: F;
  /** Bytes. */
  readonly size: number;
  /** Byte offset of each field, for code that cannot afford an object per message. */
  readonly offsets: { readonly [K in keyof F]: number };
  /** Reads the structure at `at`; throws RangeError when it does not fit. */
  decode(bytes: Buffer, at?: number): Values<F>;
  /** Writes the structure at `at`; fields left out are zero. */
  encodeInto(bytes: Buffer, at: number, values: Partial<Values<F>>): void;
  encode(values: Partial<Values<F>>): Buffer;
}

/** The byte order of this host, as DataView wants it. */
export const LITTLE = endianness() === 'LE';
const HIGH = 2 ** 32;

interface Codec {
  readonly width: number;
  read(bytes: Buffer, at: number): number | bigint;
  write(bytes: Buffer, at: number, value: number | bigint): void;
}

const viewOf = (bytes: Buffer): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

const CODECS: Record<FieldType, Codec> = {
  u16: {
    width: 2,
    read: (bytes, at) => viewOf(bytes).getUint16(at, LITTLE),
    write: (bytes, at, value) => viewOf(bytes).setUint16(at, Number(value), LITTLE),
  },
  u32: {
    width: 4,
    read: (bytes, at) => viewOf(bytes).getUint32(at, LITTLE),
    write: (bytes, at, value) => viewOf(bytes).setUint32(at, Number(value), LITTLE),
  },
  i32: {
    width: 4,
    read: (bytes, at) => viewOf(bytes).getInt32(at, LITTLE),
    write: (bytes, at, value) => viewOf(bytes).setInt32(at, Number(value), LITTLE),
  },
  u64: { width: 8, read: readU64, write: writeU64 },
  i64: {
    width: 8,
    read: (bytes, at) => Number(viewOf(bytes).getBigInt64(at, LITTLE)),
    write: (bytes, at, value) => viewOf(bytes).setBigInt64(at, BigInt(value), LITTLE),
  },
  id64: {
    width: 8,
    read: (bytes, at) => viewOf(bytes).getBigUint64(at, LITTLE),
    write: (bytes, at, value) => viewOf(bytes).setBigUint64(at, BigInt(value), LITTLE),
  },
};

/** Declares a structure. `size` pads it at the end, for the reserved tail that some structures have. */
export function struct<const F extends Fields>(fields: F, size?: number): Struct<F> {
  const { layout, offsets, end } = lay(fields);
  const bytesLong = size ?? end;
  const encodeInto: Struct<F>['encodeInto'] = (bytes, at, values) => {
    bytes.fill(0, at, at + bytesLong);
    for (const { name, offset, codec } of layout) {
      const value = values[name];
      if (value !== undefined) codec.write(bytes, at + offset, value);
    }
  };
  return {
    fields,
    size: bytesLong,
    offsets: offsets as Struct<F>['offsets'],
    encodeInto,
    decode(bytes, at = 0) {
      const values: Record<string, number | bigint> = {};
      for (const { name, offset, codec } of layout) values[name] = codec.read(bytes, at + offset);
      return values as Values<F>;
    },
    encode(values) {
      const bytes = Buffer.allocUnsafe(bytesLong);
      encodeInto(bytes, 0, values);
      return bytes;
    },
  };
}

function lay(fields: Fields): {
  layout: { name: string; offset: number; codec: Codec }[];
  offsets: Record<string, number>;
  end: number;
} {
  const layout: { name: string; offset: number; codec: Codec }[] = [];
  const offsets: Record<string, number> = {};
  let end = 0;
  for (const [name, type] of Object.entries(fields)) {
    const codec = CODECS[type];
    if (end % codec.width !== 0) throw new RangeError(`field ${name} is not aligned: spell the padding out`);
    layout.push({ name, offset: end, codec });
    offsets[name] = end;
    end += codec.width;
  }
  return { layout, offsets, end };
}

function readU64(bytes: Buffer, at: number): number {
  const view = viewOf(bytes);
  const low = view.getUint32(LITTLE ? at : at + 4, LITTLE);
  const high = view.getUint32(LITTLE ? at + 4 : at, LITTLE);
  return high * HIGH + low;
}

function writeU64(bytes: Buffer, at: number, value: number | bigint): void {
  const number = Number(value);
  const view = viewOf(bytes);
  view.setUint32(LITTLE ? at : at + 4, number % HIGH, LITTLE);
  view.setUint32(LITTLE ? at + 4 : at, Math.floor(number / HIGH), LITTLE);
}
