import { isUuid } from '../http/wire.js';

/** The volume that a Glance location names, and the store if it does. */
export interface VolumeLocation {
  readonly volumeId: string;
  readonly storeId: string | undefined;
}

/** Parses `cinder://<volume>` and `cinder://<store>/<volume>`; undefined for any other URL. */
export function parseLocation(url: string): VolumeLocation | undefined {
  const [, storeId, volumeId] = /^cinder:\/\/(?:([^/?#\s]+)\/)?([^/?#\s]+)$/.exec(url) ?? [];
  return isUuid(volumeId) ? { volumeId, storeId } : undefined;
}
