import { CinderfsError } from '../errors.js';
import type { Log } from '../log.js';
import type { Openstack } from './openstack.js';

/**
 * Checks, once the catalog has been listed, that this user can attach what it lists. Cinder answers 404 for volumes of
 * other projects, so a user of the wrong project would get a mount full of images and an error at each open.
 *
 * @throws CinderfsError `forbidden` when images are seen, but not one of their volumes.
 */
export async function requireVolumeAccess(
  { session, catalog }: Pick<Openstack, 'session' | 'catalog'>,
  log: Log,
): Promise<void> {
  const images = [...catalog.snapshot.images.values()];
  const { roles, userName, projectName } = await session.token();
  const who = `user ${userName} in project ${projectName}`;
  if (images.length === 0) log.warn({}, `${who} sees no image that is kept in a Cinder volume`);
  // An administrator attaches volumes of any project without having them in the listing.
  const usable = images.some(({ volumeGib }) => volumeGib !== undefined) || roles.has('admin');
  if (images.length === 0 || usable) return;
  throw new CinderfsError('forbidden', `${who} sees ${images.length} images but not one of their volumes`);
}
