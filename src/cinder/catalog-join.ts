/** Which volume holds which image: the join of Glance's listing, Cinder's listing and looked-up locations. Pure. */
import type { ListedImage } from './images.js';
import type { VolumeLocation } from './location.js';
import type { CatalogImage, Volume } from './types.js';

/** What the join is made of. */
export interface JoinInput {
  readonly images: readonly ListedImage[];
  /** Volumes of our own project only: metadata of others proves nothing. */
  readonly volumes: readonly Volume[];
  /** Locations looked up one by one, by image id. */
  readonly lookedUp: ReadonlyMap<string, readonly VolumeLocation[]>;
}

export interface JoinResult {
  readonly images: ReadonlyMap<string, CatalogImage>;
  /** Images whose location names a volume that says it is another image's. They are not served. */
  readonly disputed: readonly { readonly imageId: string; readonly volumeId: string }[];
}

/** Statuses of volumes that hold no image (yet, or any more). */
const UNUSABLE = /^(creating|deleting|error.*)$/;
const GIB = 2 ** 30;

export function joinCatalog({ images, volumes, lookedUp }: JoinInput): JoinResult {
  const index = indexOf(volumes);
  const disputed: { imageId: string; volumeId: string }[] = [];
  const joined = images.filter(isServable).flatMap((image): [string, CatalogImage][] => {
    const locations = image.locations ?? lookedUp.get(image.id);
    // Glance knows best where its image is. Only where it does not say, the volumes are asked.
    const location = locations === undefined ? byMetadata(image, index) : byLocation(image, locations, index);
    if (location === 'disputed') {
      disputed.push({ imageId: image.id, volumeId: locations?.[0]?.volumeId ?? '' });
      return [];
    }
    return location === undefined ? [] : [[image.id, catalogImage(image, location, locations, index)]];
  });
  return { images: new Map(joined), disputed };
}

/** The images that only a look at their locations can place. */
export function unplaced(images: readonly ListedImage[], volumes: readonly Volume[]): readonly ListedImage[] {
  const index = indexOf(volumes);
  return images.filter(
    (image) => isServable(image) && image.locations === undefined && byMetadata(image, index) === undefined,
  );
}

type ServableImage = ListedImage & { readonly size: number };

/** Deactivated, queued, deleted: not active. Zero bytes: a snapshot of an instance that booted from a volume. */
function isServable(image: ListedImage): image is ServableImage {
  return image.status === 'active' && image.size !== undefined && image.size > 0;
}

interface VolumeIndex {
  readonly byId: ReadonlyMap<string, Volume>;
  /** Volumes by the image they say they hold. */
  readonly byImage: ReadonlyMap<string, readonly Volume[]>;
}

function indexOf(volumes: readonly Volume[]): VolumeIndex {
  const byImage = new Map<string, Volume[]>();
  for (const volume of volumes) {
    const imageId = claimOf(volume);
    if (imageId !== undefined) byImage.set(imageId, [...(byImage.get(imageId) ?? []), volume]);
  }
  return { byId: new Map(volumes.map((volume) => [volume.id, volume])), byImage };
}

function claimOf(volume: Volume): string | undefined {
  return volume.metadata.glance_image_id;
}

/**
 * The first location whose volume we know, else the first. A volume that says it is another image's is not used: with
 * the old locations API an image's owner may point it anywhere.
 */
function byLocation(
  image: ListedImage,
  locations: readonly VolumeLocation[],
  { byId }: VolumeIndex,
): VolumeLocation | 'disputed' | undefined {
  const agreed = locations.filter(({ volumeId }) => {
    const volume = byId.get(volumeId);
    return volume === undefined || (claimOf(volume) ?? image.id) === image.id;
  });
  if (agreed.length === 0) return locations.length === 0 ? undefined : 'disputed';
  return agreed.find(({ volumeId }) => byId.has(volumeId)) ?? agreed[0];
}

/** The volume of ours that says it holds the image and could; the smallest id when several do, so that it stays the same. */
function byMetadata(image: ServableImage, { byImage }: VolumeIndex): VolumeLocation | undefined {
  const candidates = (byImage.get(image.id) ?? []).filter(
    (volume) =>
      !UNUSABLE.test(volume.status) &&
      volume.sizeGib * GIB >= image.size &&
      Number(volume.metadata.image_size ?? image.size) === image.size,
  );
  const [first] = candidates.map(({ id }) => id).sort();
  return first === undefined ? undefined : { volumeId: first, storeId: undefined };
}

function catalogImage(
  image: ServableImage,
  location: VolumeLocation,
  locations: readonly VolumeLocation[] | undefined,
  { byId }: VolumeIndex,
): CatalogImage {
  const volume = byId.get(location.volumeId);
  return Object.freeze({
    id: image.id,
    name: image.name,
    size: image.size,
    diskFormat: image.diskFormat,
    containerFormat: image.containerFormat,
    createdAt: image.createdAt,
    updatedAt: image.updatedAt,
    hashAlgorithm: image.hashAlgorithm,
    hashValue: image.hashValue,
    encrypted: image.encrypted,
    volumeId: location.volumeId,
    locations: locations?.map(({ volumeId }) => volumeId),
    storeId: location.storeId,
    multiattach: volume?.multiattach ?? false,
    volumeGib: volume?.sizeGib,
  });
}
