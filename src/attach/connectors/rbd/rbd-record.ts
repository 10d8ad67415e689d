import type { RbdAddress } from '../../../ceph/address.js';
import { CinderfsError } from '../../../errors.js';
import type { HostRecord } from '../../journal/record.js';

const OPTIONAL = ['user', 'conf', 'keyring', 'monitors', 'namespace'] as const;

/** What the journal keeps of an image, enough to open it without asking Cinder. */
export function recordOf({ cluster, pool, image, ...rest }: RbdAddress): HostRecord {
  const known = OPTIONAL.flatMap((key) => (rest[key] === undefined ? [] : [[key, rest[key]] as const]));
  return { cluster, pool, image, ...Object.fromEntries(known) };
}

export function addressOf(host: HostRecord): RbdAddress {
  const text = (key: string): string | undefined => (host[key] === undefined ? undefined : String(host[key]));
  const [cluster, pool, image] = [text('cluster'), text('pool'), text('image')];
  if (cluster === undefined || pool === undefined || image === undefined)
    throw new CinderfsError('internal', 'a record of the rbd connector names no image');
  const rest = Object.fromEntries(OPTIONAL.map((key) => [key, text(key)]));
  return { cluster, pool, image, ...rest };
}
