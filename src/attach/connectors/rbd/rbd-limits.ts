/** What connection_info may choose on a host that has the keyrings of several Ceph users. */
import { CinderfsError } from '../../../errors.js';

export interface RbdLimits {
  /** The only user; where undefined, any but `admin`, who may read everything. */
  readonly user?: string | undefined;
  /** The only pools; where undefined or empty, any that the user may read. */
  readonly pools?: readonly string[] | undefined;
  /** The only cluster; where undefined, any. */
  readonly cluster?: string | undefined;
}

interface Chosen {
  readonly cluster: string;
  readonly pool: string;
  readonly user?: string | undefined;
}

/** Cinder's database is not root here: a user's keyring on this host is not its to choose. `connector_failed` otherwise. */
export function judgeChoice({ cluster, pool, user }: Chosen, limits: RbdLimits): void {
  if (limits.cluster !== undefined && cluster !== limits.cluster)
    throw refused(`the Ceph cluster ${cluster}`, 'rbd_cluster');
  if (limits.pools !== undefined && limits.pools.length > 0 && !limits.pools.includes(pool))
    throw refused(`the pool ${pool}`, 'rbd_pools');
  // Without cephx librados takes the user as a name alone, and asks for no key.
  if (user === undefined) return;
  if (limits.user === undefined ? user === 'admin' : user !== limits.user)
    throw refused(`the Ceph user ${user}`, 'rbd_user');
}

function refused(what: string, option: string): CinderfsError {
  return new CinderfsError('connector_failed', `Cinder names ${what}, which ${option} does not allow`, {
    remedy: `Where this is right, set ${option} to what the backend in cinder.conf has.`,
  });
}
