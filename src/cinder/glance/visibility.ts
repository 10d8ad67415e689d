import type { ListedImage } from './images.js';

/** Which images are served, by owner and visibility. */
export type Visibility = 'public' | 'shared' | 'own' | 'community' | 'all';

export interface VisibilityPolicy {
  readonly kinds: readonly Visibility[];
  readonly projectId: string;
  readonly isAdmin: boolean;
}

/**
 * Every member of the files' group reads all images of a mount, so what one tenant keeps to itself must not be among
 * them, whatever our user could see: an administrator is shown the private and the shared images of every project.
 */
export function isServed(
  image: Pick<ListedImage, 'visibility' | 'owner'>,
  policy: VisibilityPolicy,
): boolean {
  const serves = (kind: Visibility): boolean => policy.kinds.includes(kind);
  if (serves('all')) return true;
  if (image.owner === policy.projectId && serves('own')) return true;
  switch (image.visibility) {
    case 'public':
      return serves('public');
    case 'community':
      return serves('community');
    case 'shared':
      // To an administrator Glance also lists images that are not shared with our project.
      return serves('shared') && !policy.isAdmin;
    default:
      return false;
  }
}
