import { join } from 'node:path';
import type { ConnectorProperties } from '../../../cinder/contract/attachments.js';
import { BrickConnector } from './brick-connector.js';
import { neighbourLocks, novaHabits } from './neighbours.js';

/** How volumes come to this host's kernel. Absent: as nova.conf says, else as nova-compute would do by default. */
export interface KernelOptions {
  /** All paths to a volume. */
  readonly multipath?: boolean | undefined;
  /** Refuse where multipathd does not run, rather than read over one path. */
  readonly enforceMultipath?: boolean | undefined;
  /** Where os-brick's locks are taken; where nova, cinder and glance of this host take them when absent or empty. */
  readonly lockDirectories?: readonly string[] | undefined;
  /** Lets a scan of all targets import LUNs that are not ours. */
  readonly wildcardScan?: boolean | undefined;
}

/** The brick connector of this host; `said` is what the host tells Cinder, `stepMs` the time for one step. */
export async function brickConnector(
  options: { readonly runDir: string; readonly kernel?: KernelOptions | undefined },
  said: ConnectorProperties,
  stepMs: number,
): Promise<BrickConnector> {
  const { runDir, kernel = {} } = options;
  const nova = await novaHabits();
  const multipath = kernel.multipath ?? nova.multipath ?? false;
  const named = kernel.lockDirectories ?? [];
  return new BrickConnector({
    directory: join(runDir, 'brick'),
    host: said.host,
    ip: said.ip,
    initiator: said.initiator,
    multipath,
    enforceMultipath: kernel.enforceMultipath ?? nova.enforceMultipath ?? multipath,
    lockDirectories: named.length > 0 ? named : await neighbourLocks(),
    wildcardScan: kernel.wildcardScan ?? false,
    scanAttempts: nova.scanAttempts,
    stepMs,
  });
}
