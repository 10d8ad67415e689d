import { accessSync, constants } from 'node:fs';
import type { RbdAddress } from '../../../ceph/address.js';
import { CinderfsError } from '../../../errors.js';
import type { ConnectionInfo } from '../../../cinder/contract/attachments.js';
import { shaped, textOf } from '../../connection/backend-values.js';
import { formatOf } from '../../connection/volume-format.js';
import { judgeChoice, type RbdLimits } from './rbd-limits.js';

/** What connection_info says of an RBD volume, with what this host has of the cluster's configuration. */
export interface RbdVolume extends Omit<RbdAddress, 'monitors'> {
  readonly monitors: readonly { readonly host: string; readonly port: string }[];
}

/** What this host has of Ceph. */
export interface CephHost {
  /** Where ceph.conf and the keyrings are. */
  readonly cephDirectory: string;
  readonly rbdLimits?: RbdLimits | undefined;
}

/**
 * Paths are named where they can be read, and left to librados where not. The key is in the keyring alone: since OSSN-0085
 * it is never in connection_info. `connector_failed` for a choice that this host does not allow (rbd-limits.ts).
 */
export function rbdVolumeOf(info: ConnectionInfo, { cephDirectory, rbdLimits = {} }: CephHost): RbdVolume {
  formatOf(info);
  const parts = (typeof info.name === 'string' ? info.name : '')
    .split('/')
    .map((part) => shaped(part, 'name', 'ceph_name'));
  const [pool = '', image = ''] = [parts[0], parts.at(-1)];
  if (parts.length < 2 || parts.length > 3)
    throw new CinderfsError('connector_failed', 'connection_info.name is not pool/image');
  const cluster = info.cluster_name === undefined ? 'ceph' : textOf(info, 'cluster_name', 'ceph_name');
  const user = info.auth_enabled === false ? undefined : textOf(info, 'auth_username', 'user');
  judgeChoice({ cluster, pool, user }, rbdLimits);
  return {
    cluster,
    user,
    conf: ifReadable(`${cephDirectory}/${cluster}.conf`),
    keyring:
      user === undefined ? undefined : ifReadable(`${cephDirectory}/${cluster}.client.${user}.keyring`),
    monitors: monitorsOf(info),
    pool,
    namespace: parts.length === 3 ? parts[1] : undefined,
    image,
  };
}

function monitorsOf({ hosts, ports }: ConnectionInfo): RbdVolume['monitors'] {
  if (!Array.isArray(hosts) || !Array.isArray(ports)) return [];
  return hosts.map((host: unknown, index) => ({
    host: shaped(host, 'hosts', 'host').replace(/^\[|\]$/g, ''),
    port: shaped(ports[index] ?? ports[0], 'ports', 'port'),
  }));
}

function ifReadable(path: string): string | undefined {
  try {
    accessSync(path, constants.R_OK);
    return path;
  } catch {
    return undefined;
  }
}
