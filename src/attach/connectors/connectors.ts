import { join } from 'node:path';
import type { Clock } from '../../async/clock.js';
import { cephLibrary } from '../../ceph/library.js';
import { RbdImages } from '../../ceph/rbd-images.js';
import type { Config } from '../../config/options.js';
import type { Log } from '../../log.js';
import type { Connector } from '../connection/connector.js';
import { KrbdConnector } from './krbd/krbd-connector.js';
import { LocalConnector } from './local/local-connector.js';
import { NfsConnector } from './nfs/nfs-connector.js';
import { NfsMounts } from './nfs/nfs-mounts.js';
import { QemuConnector } from './qemu/qemu-connector.js';
import { RbdConnector } from './rbd/rbd-connector.js';
import type { RbdLimits } from './rbd/rbd-limits.js';

/**
 * The connectors that a new attachment may use, by the value of the option `connector`. Through this host's kernel only
 * when asked: there a volume meets everything else.
 */
const CHOICES: Readonly<Record<Config['connector'], readonly string[]>> = {
  auto: ['local', 'rbd', 'qemu'],
  local: ['local'],
  rbd: ['rbd'],
  qemu: ['qemu'],
  brick: ['nfs', 'krbd', 'brick'],
};

/** Without a reader, volumes are only proven. */
const OWN_IMAGES = { timeoutMs: 30_000, slots: 4 };

export interface ConnectorOptions {
  /** A key of CHOICES: the first of those connectors that can reach the volume. */
  readonly connector: Config['connector'];
  /** Is empty after a reboot (a tmpfs), for this mount alone: sockets. At most 60 characters, for sun_path. */
  readonly runDir: string;
  /** Where volumes are files of this host; default: nowhere. */
  readonly localDirectories?: readonly string[] | undefined;
  readonly cephDirectory?: string | undefined;
  readonly rbdLimits?: RbdLimits | undefined;
  /** The process's; default: images of the pool's own. */
  readonly rbdImages?: RbdImages | undefined;
  /** Replaces the connectors, for tests. */
  readonly connectors?: readonly Connector[] | undefined;
  readonly log: Log;
}

interface Host {
  readonly clock: Clock;
  readonly initiator: string;
  readonly connectMs: number;
}

/** All connectors there are, in order of preference. */
export function connectorsOf(
  options: ConnectorOptions,
  brick: Connector,
  { clock, initiator, connectMs }: Host,
): readonly Connector[] {
  const { connectors, runDir, cephDirectory = '/etc/ceph', rbdLimits, log } = options;
  const ceph = { cephDirectory, rbdLimits };
  if (connectors !== undefined) return connectors;
  const images = options.rbdImages ?? new RbdImages({ library: cephLibrary, ...OWN_IMAGES });
  const rbd = new RbdConnector({ ...ceph, images, clock, connectMs });
  const directory = join(runDir, 'nbd');
  const shares = join(runDir, 'nfs');
  const { localDirectories } = options;
  const qemu = new QemuConnector({
    ...ceph,
    localDirectories,
    shareMounts: shares,
    directory,
    initiator,
    clock,
    startMs: connectMs,
    log,
  });
  const mounts = new NfsMounts({ directory: shares, timeoutMs: connectMs });
  const krbd = new KrbdConnector({ ...ceph, stepMs: connectMs, fallback: qemu, clock, log });
  return [new LocalConnector(localDirectories), rbd, qemu, new NfsConnector(mounts, qemu), krbd, brick];
}

/** Those that a new attachment may use, in order of preference; with `auto`, all that a test gave. */
export function choicesOf(
  connectors: readonly Connector[],
  { connector: wanted, connectors: given }: ConnectorOptions,
): readonly Connector[] {
  if (wanted === 'auto' && given !== undefined) return connectors;
  return connectors.filter(({ name }) => CHOICES[wanted].includes(name));
}
