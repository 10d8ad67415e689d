import type { CloudConfig } from '../config/cloud-config.js';
import type { Config } from '../config/options.js';
import type { Log } from '../log.js';
import type { Supervised } from './supervised-mount.js';

/** What a daemon is started with. */
export interface DaemonSettings {
  readonly config: Config;
  readonly cloud: CloudConfig;
  /** What the settings say of the cloud now; throws where they cannot be read any more. */
  readonly reread?: (() => CloudConfig) | undefined;
  readonly mountpoint: string;
  readonly log: Log;
  /** Where a supervisor holds the mount. */
  readonly supervised?: Omit<Supervised, 'survival' | 'onRestored'> | undefined;
  /** Aborted when the start is to end before there is a mount; its reason is what it ends with. */
  readonly stopped?: AbortSignal | undefined;
}
