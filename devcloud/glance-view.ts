import type { Image } from './model.js';

/** `2026-11-22T12:08:02Z` */
export function glanceTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/**
 * An image as Glance shows it, fields in the recorded order. `showLocations` is Glance's show_multiple_locations and
 * show_image_direct_url; links have no prefix, whatever path Glance is served under.
 */
export function imageView(image: Image, showLocations: boolean): object {
  const [first] = image.locations;
  const stores = image.locations.flatMap(({ metadata }) =>
    metadata.store === undefined ? [] : [metadata.store],
  );
  return {
    ...image.properties,
    name: image.name,
    disk_format: image.diskFormat,
    container_format: image.containerFormat,
    visibility: image.visibility,
    size: image.size,
    virtual_size: image.virtualSize,
    status: image.status,
    checksum: image.checksum,
    protected: image.protected,
    min_ram: 0,
    min_disk: 0,
    owner: image.owner,
    os_hidden: image.hidden,
    os_hash_algo: image.hashAlgorithm,
    os_hash_value: image.hashValue,
    id: image.id,
    created_at: glanceTime(image.createdAt),
    updated_at: glanceTime(image.updatedAt),
    ...(showLocations ? { locations: image.locations } : {}),
    ...(showLocations && first !== undefined ? { direct_url: first.url } : {}),
    tags: image.tags,
    self: `/v2/images/${image.id}`,
    file: `/v2/images/${image.id}/file`,
    schema: '/v2/schemas/image',
    ...(stores.length > 0 ? { stores: stores.join(',') } : {}),
  };
}
