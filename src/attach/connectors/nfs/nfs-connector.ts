import { join } from 'node:path';
import { CinderfsError } from '../../../errors.js';
import type { ConnectionInfo } from '../../../cinder/contract/attachments.js';
import { textOf } from '../../connection/backend-values.js';
import type { Connected, Connector, ConnectRequest } from '../../connection/connector.js';
import type { HostRecord } from '../../journal/record.js';
import { connectFile } from '../../connection/connected-path.js';
import { lookUp } from '../../../sys/processes/run-command.js';
import { formatOf } from '../../connection/volume-format.js';
import type { NfsMounts } from './nfs-mounts.js';

/**
 * Volumes on NFS through this host's kernel: our own read-only mount of the share, so that no other unmount or
 * remount concerns us. A raw volume is a file of it; one in qcow2 (Cinder keeps some so) is decoded by `decoder`, which
 * reads that file.
 */
export class NfsConnector implements Connector {
  readonly name = 'nfs';
  readonly #mounts: NfsMounts;
  readonly #decoder: Connector;

  constructor(mounts: NfsMounts, decoder: Connector) {
    this.#mounts = mounts;
    this.#decoder = decoder;
  }

  async refusal(info: ConnectionInfo): Promise<CinderfsError | undefined> {
    if (info.driver_volume_type !== 'nfs')
      return new CinderfsError(
        'protocol_unsupported',
        `the nfs connector does not speak ${info.driver_volume_type}`,
      );
    if (process.getuid?.() !== 0)
      return new CinderfsError('connector_failed', 'the nfs connector needs root');
    try {
      await lookUp({ program: 'mount.nfs', args: [], package: 'nfs-common' });
      return formatOf(info) === 'raw' ? undefined : await this.#decoder.refusal(this.#decoded(info));
    } catch (error) {
      return CinderfsError.from(error, 'connector_failed');
    }
  }

  plan({ volumeId, info }: Pick<ConnectRequest, 'volumeId' | 'info'>): HostRecord {
    const share = textOf(info, 'export', 'export');
    const path = this.#pathOf(info);
    const decoding = formatOf(info) === 'raw' ? {} : this.#decoder.plan({ volumeId, info });
    return { ...decoding, share, user: volumeId, path, format: formatOf(info) };
  }

  async connect(request: ConnectRequest, plan: HostRecord): Promise<Connected> {
    const { info } = request;
    try {
      await this.#mounts.take(String(plan.share), String(plan.user), info.options);
      request.signal.throwIfAborted();
      const beneath = this.#mounts.pathOf(String(plan.share));
      const file = await connectFile({ path: String(plan.path), beneath });
      const connected =
        plan.format === 'raw'
          ? file
          : await this.#decoder.connect({ ...request, info: this.#decoded(info) }, plan);
      return { ...connected, host: { ...plan, ...connected.host, path: String(plan.path) } };
    } catch (error) {
      await this.disconnect(plan);
      throw error;
    }
  }

  async adopt(host: HostRecord): Promise<Connected | undefined> {
    if (!(await this.#mounts.isMounted(String(host.share)))) return undefined;
    const connected = await (host.format === 'raw'
      ? connectFile({
          path: String(host.path),
          beneath: this.#mounts.pathOf(String(host.share)),
          inode: typeof host.inode === 'string' ? host.inode : undefined,
        }).catch(() => undefined)
      : this.#decoder.adopt(host));
    return connected && { ...connected, host };
  }

  async disconnect(host: HostRecord): Promise<void> {
    if (host.format !== 'raw') await this.#decoder.disconnect(host);
    await this.#mounts.letGo(String(host.share), String(host.user));
  }

  #pathOf(info: ConnectionInfo): string {
    return join(this.#mounts.pathOf(textOf(info, 'export', 'export')), textOf(info, 'name', 'file_name'));
  }

  /** The same volume as a file of this host. */
  #decoded(info: ConnectionInfo): ConnectionInfo {
    return {
      driver_volume_type: 'local',
      device_path: this.#pathOf(info),
      format: info.format,
      name: info.name,
    };
  }
}
