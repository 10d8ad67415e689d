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
  const images = catalog.snapshot.images.size;
  if (images > 0) return;
  const { userName, projectName } = await session.token();
  const who = `user ${userName} in project ${projectName}`;
  const foreign = catalog.refused.filter(({ why }) => why === 'not_ours').length;
  if (foreign > 0)
    throw new CinderfsError('forbidden', `${who} sees ${foreign} images but not one of their volumes`);
  log.warn({}, `${who} sees no image that is kept in a Cinder volume`);
}
