import { CinderfsError } from '../../errors.js';
import type { AttachContext } from '../context/context.js';
import type { AttachableImage, Lease } from '../contract/lease.js';
import type { HashWait } from '../proof/glance-hashes.js';
import type { LiveAttachment } from './live-attachment.js';
import { proveRead, renewHeld } from './proving.js';
import type { State } from './state.js';
import { type Patience, waitFor } from './waiters.js';

/** What an opener is given, and what it is a lease of. */
export interface Claim {
  readonly held: LiveAttachment;
  readonly lease: Lease;
}

/** The caller of open. */
export interface Opener {
  /** Aborts when the opener left. */
  readonly signal: AbortSignal | undefined;
  /** Aborts when nothing is to be attached any more. */
  readonly quit: AbortSignal;
}

/** An attachment as an opener sees it. */
export interface Claimable {
  readonly state: State<LiveAttachment>['is'];
  /** A lease on what is held now, or on what arrives within the patience. */
  claim(image: AttachableImage, patience: Patience): Promise<Claim>;
  /** Told of what proved bad when it was about to be shared, also after the opener left. */
  distrust(held: LiveAttachment, reason: CinderfsError): void;
}

/**
 * One opener's way to a lease: claim, prove again what was there already, then read. What proves bad is replaced by a
 * new attachment, once. An image that is not safe to open gets none (`image_unsafe`). All of it within the open
 * deadline (`attach_timeout`), or until `signal` (`interrupted`).
 */
export async function openLease(
  attachment: Claimable,
  listed: AttachableImage,
  context: AttachContext,
  { signal, quit }: Opener,
): Promise<Lease> {
  const { clock, times } = context;
  const end = clock.now() + times.openMs;
  const patience = (): Patience => ({ clock, ms: end - clock.now(), signal, volume: listed.volumeId });
  const image = await whenHashed(attachment, listed, context, { ...patience(), quit });
  context.heads.refuseKnown(image);
  for (let tries = 1; ; tries++) {
    const { held, lease } = await attachment.claim(image, patience());
    try {
      await waitFor(judged(renewHeld(held, context), held, attachment), patience(), () => undefined);
      await waitFor(context.heads.admit(image, held.connected), patience(), () => undefined);
      if (!held.fence.signal.aborted) return lease;
      throw CinderfsError.from(held.fence.signal.reason);
    } catch (error) {
      const gaveUp =
        CinderfsError.is(error) && ['interrupted', 'attach_timeout', 'image_unsafe'].includes(error.code);
      lease.release({ evict: !gaveUp });
      if (gaveUp || tries === 2) throw error;
    }
  }
}

/** Proves what a reader of `attachment` has in hand: see proveRead. What proves bad is distrusted. */
export async function proveReading(
  held: LiveAttachment,
  context: AttachContext,
  attachment: Claimable,
): Promise<void> {
  await judged(proveRead(held, context), held, attachment);
}

/** A volume that only one host may attach is left to Glance while Glance hashes the image. */
async function whenHashed(
  { state }: Claimable,
  image: AttachableImage,
  { hashes, isolate }: AttachContext,
  patience: HashWait,
): Promise<AttachableImage> {
  // What is held, or on its way, Glance cannot have any more.
  if (state !== 'detached' || image.multiattach || isolate !== 'none') return image;
  return hashes.settled(image, patience);
}

/** `proof` of what `attachment` holds, which is told where that is not the volume any more. */
async function judged(proof: Promise<void>, held: LiveAttachment, attachment: Claimable): Promise<void> {
  try {
    await proof;
  } catch (error) {
    if (CinderfsError.is(error) && (error.code === 'identity_mismatch' || error.code === 'attachment_lost'))
      attachment.distrust(held, error);
    throw error;
  }
}
