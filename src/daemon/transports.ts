import type { CloudConfig } from '../config/cloud-config.js';
import type { Config } from '../config/options.js';
import type { Filesystem } from '../fs/filesystem.js';
import { mountEngine } from '../fs/fuse/engine.js';
import { mountNative } from '../fs/fuse-native/mount-native.js';
import type { MountedTransport, MountTransport } from '../fs/transport.js';
import type { Log } from '../log.js';

const TRANSPORTS = { engine: mountEngine, native: mountNative } satisfies Record<
  Config['fuse'],
  MountTransport
>;

export interface MountSettings {
  readonly config: Config;
  readonly cloud: CloudConfig;
  readonly mountpoint: string;
  readonly log: Log;
}

/** Mounts `filesystem` by the transport that the configuration names. */
export function mountTransport(filesystem: Filesystem, settings: MountSettings): Promise<MountedTransport> {
  const { config, cloud, mountpoint, log } = settings;
  return TRANSPORTS[config.fuse](filesystem, {
    mountpoint,
    fsname: `cinderfs:${cloud.name}`,
    allowOther: config.allow_other,
    readTimeoutMs: config.read_timeout * 1000,
    openTimeoutMs: config.open_timeout * 1000,
    attributeTtlSeconds: config.attribute_ttl,
    passthrough: config.passthrough,
    log,
  });
}
