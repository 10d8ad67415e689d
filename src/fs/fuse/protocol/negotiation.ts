import { CinderfsError } from '../../../errors.js';
import { INIT_IN, INIT_IN_SHORT, INIT_OUT } from './messages.js';
import { FUSE_MAJOR, FUSE_MINOR, FUSE_MINOR_OLDEST, InitFlag, MAX_PAGES } from './opcodes.js';

/** What the kernel and this engine agreed on at INIT; a supervisor keeps it for the engine that takes over. */
export interface Agreement {
  readonly minor: number;
  /** InitFlag bits that both sides set. */
  readonly flags: bigint;
}

/** What the kernel said in INIT. */
export interface Offer {
  readonly major: number;
  readonly minor: number;
  readonly flags: bigint;
  readonly maxReadahead: number;
}

const WANTED = Object.values(InitFlag).reduce((all, flag) => all | flag, 0n);

/**
 * Background requests (read-ahead of buffered readers) that the kernel sends before it waits for answers. It counts
 * the whole mount, so a dead volume with enough readers would hold up all others (design trap 3): far above what
 * they can have in flight. Beyond the threshold the kernel leaves out asynchronous read-ahead.
 */
const MAX_BACKGROUND = 4096;
const CONGESTION_THRESHOLD = 1024;

/** The kernel refuses less; nothing is ever written. */
const MAX_WRITE = 4096;

export function decodeOffer(body: Buffer): Offer | undefined {
  if (body.length < INIT_IN_SHORT.size) return undefined;
  const short = INIT_IN_SHORT.decode(body);
  const flags2 = body.length < INIT_IN.size ? 0 : INIT_IN.decode(body).flags2;
  const extended = (BigInt(short.flags) & InitFlag.INIT_EXT) !== 0n;
  return {
    major: short.major,
    minor: short.minor,
    maxReadahead: short.max_readahead,
    flags: BigInt(short.flags) | (extended ? BigInt(flags2) << 32n : 0n),
  };
}

/**
 * Answers the kernel's offer; `without` are flags that this process cannot use or must not.
 *
 * @throws CinderfsError `fuse_failed` when the kernel is too old.
 */
export function agree(offer: Offer, without = 0n): Agreement {
  if (offer.major !== FUSE_MAJOR || offer.minor < FUSE_MINOR_OLDEST)
    throw new CinderfsError(
      'fuse_failed',
      `the kernel speaks FUSE ${offer.major}.${offer.minor}; ${FUSE_MAJOR}.${FUSE_MINOR_OLDEST} is the oldest served`,
      { remedy: 'Use Linux 5.10 or later.' },
    );
  return { minor: Math.min(offer.minor, FUSE_MINOR), flags: offer.flags & WANTED & ~without };
}

/** The payload of the reply to INIT; `maxPages` is what one request may ask for. */
export function encodeAgreement(agreement: Agreement, offer: Offer, maxPages = MAX_PAGES): Buffer {
  return INIT_OUT.encode({
    major: FUSE_MAJOR,
    minor: FUSE_MINOR,
    max_readahead: offer.maxReadahead,
    flags: Number(agreement.flags & 0xffffffffn),
    flags2: Number(agreement.flags >> 32n),
    max_background: MAX_BACKGROUND,
    congestion_threshold: CONGESTION_THRESHOLD,
    max_write: MAX_WRITE,
    time_gran: 1,
    max_pages: maxPages,
    // Passthrough only over file systems that are not stacked themselves.
    max_stack_depth: hasPassthrough(agreement) ? 1 : 0,
  });
}

export function hasPassthrough(agreement: Agreement): boolean {
  return (agreement.flags & InitFlag.PASSTHROUGH) !== 0n;
}

/** Whether the kernel asks again for what a dead engine had read and not answered (Linux 6.9). */
export function hasResend(agreement: Agreement): boolean {
  return (agreement.flags & InitFlag.HAS_RESEND) !== 0n;
}
