import type { Clock } from '../../../async/clock.js';
import { withDeadline } from '../../../async/deadline.js';
import { type RbdAddress, rbdName } from '../../../ceph/address.js';
import type { ImageClaim, RbdImages } from '../../../ceph/rbd-images.js';
import type { ConnectionInfo } from '../../../cinder/contract/attachments.js';
import { CinderfsError } from '../../../errors.js';
import type { Connected, Connector, ConnectRequest } from '../../connection/connector.js';
import type { HostRecord } from '../../journal/record.js';
import { formatOf } from '../../connection/volume-format.js';
import { ImageWatch } from './image-watch.js';
import { addressOf, recordOf } from './rbd-record.js';
import { type CephHost, rbdVolumeOf } from './rbd-volume.js';

export interface RbdOptions extends CephHost {
  readonly images: RbdImages;
  readonly clock: Clock;
  readonly connectMs: number;
}

const NEVER = new AbortController().signal;

interface Open {
  readonly claim: ImageClaim;
  readonly watch: ImageWatch;
}

/**
 * Reads RBD volumes by librbd in this process: no server between, no kernel, no root. It makes nothing on this host and
 * holds nothing in the cluster, so a crash leaves nothing behind; adopting is opening the same image again.
 */
export class RbdConnector implements Connector {
  readonly name = 'rbd';
  readonly #options: RbdOptions;
  /** What is connected, by address. */
  readonly #open = new Map<string, Open>();

  constructor(options: RbdOptions) {
    this.#options = options;
  }

  refusal(info: ConnectionInfo): Promise<CinderfsError | undefined> {
    try {
      formatOf(info);
      return Promise.resolve(this.#refusal(info));
    } catch (error) {
      return Promise.resolve(CinderfsError.from(error, 'protocol_unsupported'));
    }
  }

  plan({ info }: Pick<ConnectRequest, 'info'>): HostRecord {
    const { monitors, ...volume } = rbdVolumeOf(info, this.#options);
    const listed = monitors.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`);
    return recordOf({ ...volume, monitors: listed.length === 0 ? undefined : listed.join(',') });
  }

  async connect({ signal }: ConnectRequest, plan: HostRecord): Promise<Connected> {
    const address = addressOf(plan);
    return this.#connected(address, await this.#claim(address, signal));
  }

  async adopt(host: HostRecord): Promise<Connected | undefined> {
    const address = addressOf(host);
    const claim = await this.#claim(address, NEVER);
    if (claim.image.id === host.id) return this.#connected(address, claim);
    claim.release();
    return undefined;
  }

  /** A reader that hangs keeps the image open in this process until the cluster's deadline. */
  disconnect(host: HostRecord): Promise<void> {
    const key = JSON.stringify(addressOf(host));
    const open = this.#open.get(key);
    this.#open.delete(key);
    open?.watch.stop();
    open?.claim.release();
    return Promise.resolve();
  }

  #refusal({ driver_volume_type: protocol }: ConnectionInfo): CinderfsError | undefined {
    const unsupported = (why: string): CinderfsError => new CinderfsError('protocol_unsupported', why);
    if (protocol !== 'rbd') return unsupported(`the rbd connector does not speak ${protocol}`);
    if (this.#options.images.available) return undefined;
    return new CinderfsError('connector_missing', 'librados, librbd or the npm package koffi is missing', {
      remedy: 'Install librados2 and librbd1 (Debian) and the optional npm packages.',
    });
  }

  #claim(address: RbdAddress, signal: AbortSignal): Promise<ImageClaim> {
    const { images, clock, connectMs: ms } = this.#options;
    const onTimeout = (): CinderfsError =>
      new CinderfsError('connector_failed', `the Ceph cluster ${address.cluster} does not answer`);
    const onLate = (claim: ImageClaim): void => claim.release();
    return withDeadline(images.open(address), { clock, ms, signal, onTimeout, onLate });
  }

  #connected(address: RbdAddress, claim: ImageClaim): Connected {
    const { image } = claim;
    const { id } = image;
    const watch = new ImageWatch(image, rbdName(address), this.#options.clock);
    this.#open.set(JSON.stringify(address), { claim, watch });
    return {
      source: { kind: 'rbd', address, id },
      host: { ...recordOf(address), id },
      lost: watch.lost,
      deviceName: `rbd:${address.pool}/${id}`,
      object: () => nameOf(image),
      size: () => Promise.resolve(image.size),
      read: async (offset, length) => {
        const bytes = Buffer.alloc(length);
        await image.read(offset, bytes);
        return bytes;
      },
    };
  }
}

/** The image that the name leads to at this moment. */
async function nameOf(image: ImageClaim['image']): Promise<string> {
  return `rbd image ${(await image.currentId()) ?? 'none'}`;
}
