import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import * as messages from '../../src/fs/fuse/protocol/messages.js';
import type { Fields, FieldType, Struct, Values } from '../../src/sys/calls/struct.js';
import { struct } from '../../src/sys/calls/struct.js';
import { assertProperty } from '../support/seeds.js';

const VALUES: Record<FieldType, fc.Arbitrary<number | bigint>> = {
  u16: fc.integer({ min: 0, max: 2 ** 16 - 1 }),
  u32: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  i32: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  u64: fc.maxSafeNat(),
  i64: fc.maxSafeInteger(),
  id64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
};

/** sizeof of the C structures, from linux/fuse.h. */
const SIZES: Readonly<Record<string, number>> = {
  IN_HEADER: 40,
  OUT_HEADER: 16,
  INIT_IN_SHORT: 16,
  INIT_IN: 64,
  INIT_OUT: 64,
  ENTRY_OUT: 128,
  ATTR_OUT: 104,
  FORGET_IN: 8,
  BATCH_FORGET_IN: 8,
  FORGET_ONE: 16,
  OPEN_IN: 8,
  OPEN_OUT: 16,
  RELEASE_IN: 24,
  READ_IN: 40,
  LSEEK_IN: 24,
  LSEEK_OUT: 8,
  GETXATTR_IN: 8,
  GETXATTR_OUT: 8,
  DIRENT: 24,
  STATFS_OUT: 80,
  INTERRUPT_IN: 8,
  INVAL_INODE_OUT: 24,
  INVAL_ENTRY_OUT: 16,
};

describe('structures of the protocol', () => {
  for (const [name, layout] of Object.entries(messages) as [string, Struct<Fields>][]) {
    it(`${name} is as long as the kernel's and reads back what was written`, () => {
      assert.equal(layout.size, SIZES[name]);
      const values = fc.record(
        Object.fromEntries(Object.entries(layout.fields).map(([field, type]) => [field, VALUES[type]])),
      );
      assertProperty(
        fc.property(values, fc.nat(32), (given, at) => {
          const bytes = Buffer.alloc(at + layout.size, 0xff);
          layout.encodeInto(bytes, at, given as Partial<Values<Fields>>);
          assert.deepEqual(layout.decode(bytes, at), { ...given });
          assert.ok(
            bytes.subarray(0, at).every((byte) => byte === 0xff),
            'nothing before it is touched',
          );
        }),
      );
    });
  }

  it('puts fields where the kernel has them', () => {
    assert.equal(messages.ENTRY_OUT.offsets.ino, 40);
    assert.equal(messages.INIT_OUT.offsets.max_stack_depth, 36);
    assert.deepEqual(
      messages.OUT_HEADER.encode({ len: 16, error: -2, unique: 0x0102030405060708n }),
      Buffer.from('10000000feffffff0807060504030201', 'hex'),
    );
  });

  it('will not declare a field that the compiler would have moved', () => {
    assert.throws(() => struct({ small: 'u32', large: 'u64' }), /padding/);
  });
});
