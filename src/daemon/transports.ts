import type { Clock } from '../async/clock.js';
import type { CloudConfig } from '../config/cloud-config.js';
import type { Config } from '../config/options.js';
import type { Filesystem } from '../fs/contract/filesystem.js';
import { mountEngine } from '../fs/fuse/engine.js';
import { mountNative } from '../fs/fuse-native/mount-native.js';
import type { MountedTransport, MountTransport, TransportOptions } from '../fs/contract/transport.js';
import type { Log } from '../log.js';
import type { SourceKinds } from '../sources/source-kinds.js';
import { shareCache } from './cache-shares.js';
import { mountSupervised, type Supervised } from './supervised-mount.js';

const TRANSPORTS = { engine: mountEngine, native: mountNative } satisfies Record<
  Config['fuse'],
  MountTransport
>;

export interface MountSettings {
  readonly config: Config;
  readonly cloud: CloudConfig;
  readonly mountpoint: string;
  readonly log: Log;
  readonly sources: SourceKinds;
}

/** Mounts `filesystem` by the transport that the configuration names, or serves what a supervisor holds. */
export function mountTransport(
  filesystem: Filesystem,
  settings: MountSettings,
  supervised: Supervised | undefined,
  clock: Clock,
): Promise<MountedTransport> {
  const options = optionsOf(settings);
  return supervised === undefined
    ? TRANSPORTS[settings.config.fuse](filesystem, options)
    : mountSupervised(filesystem, options, supervised, clock);
}

function optionsOf({ config, cloud, mountpoint, log, sources }: MountSettings): TransportOptions {
  return {
    mountpoint,
    fsname: `cinderfs:${cloud.name}`,
    allowOther: config.allow_other,
    readTimeoutMs: config.read_timeout * 1000,
    openTimeoutMs: config.open_timeout * 1000,
    handlesPerUser: config.handles_per_user,
    attributeTtlSeconds: config.attribute_ttl,
    pieceBytes: shareCache(config.cache_size).pieceBytes,
    passthrough: config.passthrough,
    sources,
    log,
  };
}
