/** Which volume holds which image: the join of Glance's listing, Cinder's listing and looked-up locations. Pure. */
import type { ListedImage } from '../glance/images.js';
import type { VolumeLocation } from '../glance/location.js';
import type { Volume } from '../contract/volumes.js';
import type { CatalogImage } from '../contract/catalog.js';

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
  /** Images whose location names a volume that does not agree. They are not served. */
  readonly refused: readonly Refusal[];
}

/**
 * Why a location is not believed. With the old locations API an image's owner points it anywhere, so the volume has to
 * say that it holds the image (`glance_image_id`, which Glance, Cinder's upload-to-image and a user that registers a volume
 * by hand write): saying nothing is no consent.
 *
 *   not_ours     the volume is not in the listing of our own project, whatever an administrator could attach
 *   no_claim     it does not say that it holds an image
 *   other_image  it says that it holds another
 */
export interface Refusal {
  readonly imageId: string;
  readonly volumeId: string;
  readonly why: 'not_ours' | 'no_claim' | 'other_image';
}

/** Statuses of volumes that hold no image (yet, or any more). */
const UNUSABLE = /^(creating|deleting|error.*)$/;
const GIB = 2 ** 30;

export function joinCatalog({ images, volumes, lookedUp }: JoinInput): JoinResult {
  const index = indexOf(volumes);
  const refused: Refusal[] = [];
  const joined = images.filter(isServable).flatMap((image): [string, CatalogImage][] => {
    const locations = image.locations ?? lookedUp.get(image.id);
    // Glance knows best where its image is. Only where it does not say, the volumes are asked.
    const location = locations === undefined ? byMetadata(image, index) : byLocation(image, locations, index);
    if (location === undefined) return [];
    if ('why' in location) {
      refused.push(location);
      return [];
    }
    return [[image.id, catalogImage(image, location, locations, index)]];
  });
  return { images: new Map(joined), refused };
}

/** Where no volume says that it holds an image, as many locations are looked at to say why. */
const SAMPLES = 16;

/**
 * The images whose locations are worth a look: several volumes say that they hold it, or one that hardly can. What no
 * volume of ours claims is not served whatever its locations are; only where there is no claim at all, a few are looked
 * at, to tell a user of the wrong project from a cloud without such images.
 */
export function unplaced(images: readonly ListedImage[], volumes: readonly Volume[]): readonly ListedImage[] {
  const index = indexOf(volumes);
  const silent = images.filter((image) => isServable(image) && image.locations === undefined);
  if (index.byImage.size === 0) return silent.slice(0, SAMPLES);
  return silent.filter(
    (image) => index.byImage.has(image.id) && isServable(image) && candidates(image, index).length !== 1,
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

/** The first location whose volume agrees, else why the first does not; undefined when it has no Cinder location. */
function byLocation(
  image: ListedImage,
  locations: readonly VolumeLocation[],
  { byId }: VolumeIndex,
): VolumeLocation | Refusal | undefined {
  const why = ({ volumeId }: VolumeLocation): Refusal['why'] | undefined => {
    const volume = byId.get(volumeId);
    if (volume === undefined) return 'not_ours';
    const claim = claimOf(volume);
    if (claim === undefined) return 'no_claim';
    return claim === image.id ? undefined : 'other_image';
  };
  const [first] = locations;
  if (first === undefined) return undefined;
  const agreed = locations.find((location) => why(location) === undefined);
  return agreed ?? { imageId: image.id, volumeId: first.volumeId, why: why(first) ?? 'not_ours' };
}

/** The volume of ours that says it holds the image and could; the smallest id when several do, so that it stays the same. */
function byMetadata(image: ServableImage, index: VolumeIndex): VolumeLocation | undefined {
  const [first] = candidates(image, index)
    .map(({ id }) => id)
    .sort();
  return first === undefined ? undefined : { volumeId: first, storeId: undefined };
}

/** Cinder's upload-to-image writes no image_size: there only the claim and the room are asked for. */
function candidates(image: ServableImage, { byImage }: VolumeIndex): readonly Volume[] {
  return (byImage.get(image.id) ?? []).filter(
    (volume) =>
      !UNUSABLE.test(volume.status) &&
      volume.sizeGib * GIB >= image.size &&
      Number(volume.metadata.image_size ?? image.size) === image.size,
  );
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
    hidden: image.hidden,
  });
}
