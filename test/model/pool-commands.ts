import { createHash } from 'node:crypto';
import type { AttachableImage } from '../../src/attach/contract/lease.js';
import type { ListingFate } from '../fakes/simulated-glance.js';

/** What may happen to a pool and to the world around it. */
export type Command =
  | { readonly do: 'open'; readonly volume: string }
  | {
      readonly do: 'vanish' | 'hang' | 'thaw' | 'reuse_lun' | 'force_delete' | 'other_host';
      readonly volume: string;
    }
  | { readonly do: 'release_image'; readonly volume: string }
  | { readonly do: 'list'; readonly volume: string; readonly fate: ListingFate }
  | { readonly do: 'close'; readonly pick: number; readonly evict: boolean }
  | { readonly do: 'give_up'; readonly pick: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'step'; readonly steps: number }
  | { readonly do: 'look' | 'crash' }
  /** The engine dies, and the mount with its open files does not: the next one opens each again, one after so many steps. */
  | { readonly do: 'engine_dies'; readonly stepsBetween: number };

/** What others do to a volume. */
export type Disturbance = Exclude<
  Extract<Command, { volume: string }>,
  { do: 'open' | 'list' | 'release_image' }
>;

/** Two images that may be attached twice, of which Glance has no hash of one, and one that may not. */
export const IMAGES: readonly AttachableImage[] = ['v1', 'v2', 'single'].map((volumeId) => {
  const content = `bytes of ${volumeId}`;
  return {
    id: `image-${volumeId}`,
    name: volumeId,
    size: content.length,
    volumeId,
    multiattach: volumeId !== 'single',
    diskFormat: 'raw',
    hashAlgorithm: 'sha256',
    hashValue: volumeId === 'v2' ? undefined : createHash('sha256').update(content).digest('hex'),
  };
});

/** Glance says what its bytes are. */
export function hasHash(volume: string): boolean {
  return IMAGES.find(({ volumeId }) => volumeId === volume)?.hashValue !== undefined;
}
