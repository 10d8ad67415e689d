import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { INIT_IN, INIT_IN_SHORT, INIT_OUT } from '../../src/fs/fuse/protocol/messages.js';
import {
  agree,
  decodeOffer,
  encodeAgreement,
  hasPassthrough,
  hasResend,
} from '../../src/fs/fuse/protocol/negotiation.js';
import { InitFlag } from '../../src/fs/fuse/protocol/opcodes.js';

const EVERYTHING = 0xffff_ffff;

/** The INIT of Linux 5.10: sixteen bytes. */
const old = INIT_IN_SHORT.encode({ major: 7, minor: 32, max_readahead: 131_072, flags: 0x03ff_ffff });
/** The INIT of Linux 6.18. */
const recent = INIT_IN.encode({
  major: 7,
  minor: 45,
  max_readahead: 131_072,
  flags: EVERYTHING,
  flags2: EVERYTHING,
});

function offerOf(body: Buffer): NonNullable<ReturnType<typeof decodeOffer>> {
  const offer = decodeOffer(body);
  assert.ok(offer);
  return offer;
}

describe('INIT', () => {
  it('asks an old kernel for nothing that it does not have', () => {
    const offer = offerOf(old);
    const agreement = agree(offer);
    assert.equal(agreement.minor, 32);
    assert.equal(hasPassthrough(agreement), false);
    const answer = INIT_OUT.decode(encodeAgreement(agreement, offer));
    assert.equal(answer.flags2, 0);
    assert.equal(answer.flags & ~0x03ff_ffff, 0);
    assert.notEqual(BigInt(answer.flags) & InitFlag.MAX_PAGES, 0n);
    assert.equal(answer.max_stack_depth, 0);
  });

  it('takes passthrough from a recent kernel, unless this process cannot use it', () => {
    const offer = offerOf(recent);
    const answer = INIT_OUT.decode(encodeAgreement(agree(offer), offer));
    assert.equal((BigInt(answer.flags2) << 32n) & InitFlag.PASSTHROUGH, InitFlag.PASSTHROUGH);
    assert.notEqual(BigInt(answer.flags) & InitFlag.INIT_EXT, 0n);
    assert.equal(answer.max_stack_depth, 1);
    assert.equal(answer.max_pages, 256);
    assert.ok(answer.max_background >= 64);
    assert.equal(hasPassthrough(agree(offer, InitFlag.PASSTHROUGH)), false);
    assert.equal(hasResend(agree(offer, InitFlag.PASSTHROUGH)), true);
    assert.equal(hasResend(agree(offer, InitFlag.HAS_RESEND)), false);
  });

  it('does not read flags2 of a kernel that did not say it has them', () => {
    const body = INIT_IN.encode({ major: 7, minor: 36, flags: 0, flags2: EVERYTHING });
    assert.equal(offerOf(body).flags, 0n);
  });

  it('speaks at most its own minor, and refuses kernels before it was tried', () => {
    const offer = offerOf(recent);
    assert.equal(agree({ ...offer, minor: 99 }).minor, 45);
    assert.throws(() => agree({ ...offer, minor: 30 }), { code: 'fuse_failed' });
    assert.throws(() => agree({ ...offer, major: 8 }), { code: 'fuse_failed' });
    assert.equal(decodeOffer(old.subarray(0, 15)), undefined);
  });
});
