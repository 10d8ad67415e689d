import { join } from 'node:path';
import { CinderfsError } from '../../../errors.js';
import type { ConnectionInfo } from '../../../cinder/contract/attachments.js';
import { openNamed } from '../../../sys/files/beneath.js';
import { absolutePath, textOf } from '../../connection/backend-values.js';
import type { Connected, Connector, ConnectRequest } from '../../connection/connector.js';
import type { HostRecord } from '../../journal/record.js';
import { connectPath, type ConnectedPath, connectFile } from '../../connection/connected-path.js';
import { type LocalPlace, localPlaceOf } from './local-place.js';
import { directoryOfShare, isShareProtocol } from './shares.js';
import { namesPath } from '../../connection/volume-file.js';
import { requireRaw } from '../../connection/volume-format.js';

/**
 * Reads the volume where it already is on this host. What Cinder says is taken for no more than a name: of a disk that this
 * host does not use itself, of a file below a directory that the configuration names, or of one on a share that root has
 * mounted. Makes nothing and removes nothing.
 */
export class LocalConnector implements Connector {
  readonly name = 'local';
  readonly makesNothing = true;
  readonly #directories: readonly string[];

  /** `directories`: absolute; regular files are served from below them alone. */
  constructor(directories: readonly string[] = []) {
    this.#directories = directories;
  }

  async refusal(info: ConnectionInfo): Promise<CinderfsError | undefined> {
    try {
      const { source } = await connectPlace(await this.#placeOf(info));
      await (await openNamed(source)).close();
      return undefined;
    } catch (error) {
      return CinderfsError.from(error, 'connector_failed');
    }
  }

  plan(): HostRecord {
    return {};
  }

  async connect({ info }: ConnectRequest): Promise<Connected> {
    return connectPlace(await this.#placeOf(info));
  }

  /** Only the very file that was proven; what an older version noted must be where a new attachment may be. */
  async adopt({ path, beneath, inode }: HostRecord): Promise<Connected | undefined> {
    if (typeof path !== 'string') return undefined;
    try {
      if (typeof beneath === 'string' && typeof inode === 'string')
        return await connectFile({ path, beneath, inode });
      return await connectPlace(await localPlaceOf(path, this.#directories));
    } catch {
      return undefined;
    }
  }

  disconnect(): Promise<void> {
    return Promise.resolve();
  }

  async #placeOf(info: ConnectionInfo): Promise<LocalPlace> {
    const protocol = info.driver_volume_type;
    requireRaw(info, 'local');
    if (namesPath(info))
      return localPlaceOf(absolutePath(info.device_path, 'device_path'), this.#directories);
    if (!isShareProtocol(protocol))
      throw new CinderfsError('protocol_unsupported', `the local connector does not speak ${protocol}`);
    const share = textOf(info, 'export', 'export');
    const beneath = await directoryOfShare(protocol, share, info.mount_point_base);
    return { path: join(beneath, textOf(info, 'name', 'file_name')), beneath };
  }
}

function connectPlace({ path, beneath }: LocalPlace): Promise<ConnectedPath> {
  return beneath === undefined ? connectPath(path) : connectFile({ path, beneath });
}
