import { CinderfsError } from '../../errors.js';
import type { VolumeEndpoint } from './microversion.js';
import type { CallOptions } from '../contract/calls.js';
import type { CloneRequest, Clones, Volume } from '../contract/volumes.js';
import { volumeOf } from './volumes.js';
import { isRecord, malformed, member, optionalText, requiredList } from '../http/wire.js';

/** Another host is between reserving the source and completing. */
const SOURCE_BUSY = 'Originating source volume status must be one of';

/** Cinder's volumes API, as far as reading through clones goes. */
export class ClonesClient implements Clones {
  readonly #endpoint: Pick<VolumeEndpoint, 'request'>;

  constructor(endpoint: Pick<VolumeEndpoint, 'request'>) {
    this.#endpoint = endpoint;
  }

  async create(request: CloneRequest, options: CallOptions = {}): Promise<Volume> {
    const { source, name, sizeGib, type, metadata } = request;
    const volume = { source_volid: source, name, size: sizeGib, volume_type: type, metadata };
    const post = {
      ...options,
      method: 'POST',
      path: '/volumes',
      body: { volume },
      repeat: 'unsent',
    } as const;
    const answer = await this.#endpoint.request(post).catch((thrown: unknown) => {
      const error = CinderfsError.from(thrown);
      if (error.context.status !== 400 || !error.message.includes(SOURCE_BUSY)) throw error;
      throw new CinderfsError('conflict', error.message, { ...error.context, volume: source, cause: error });
    });
    const told = { what: "Cinder's answer to POST /volumes", requestId: answer.requestId };
    const made = volumeOf(member(answer.body, 'volume', told));
    if (made === undefined) throw malformed(told, 'is not a volume');
    return made;
  }

  async named(name: string, options: CallOptions = {}): Promise<readonly Volume[]> {
    const query = new URLSearchParams({ name });
    const path = `/volumes/detail?${query.toString()}`;
    const answer = await this.#endpoint.request({ ...options, method: 'GET', path, repeat: 'always' });
    const told = { what: "Cinder's answer to GET /volumes/detail", requestId: answer.requestId };
    return requiredList(member(answer.body, 'volumes', told), 'volumes', told)
      .flatMap((entry) => volumeOf(entry) ?? [])
      .filter((volume) => volume.name === name);
  }

  async delete(volumeId: string, options: CallOptions = {}): Promise<void> {
    const path = `/volumes/${encodeURIComponent(volumeId)}`;
    await this.#endpoint.request({ ...options, method: 'DELETE', path, repeat: 'always', accept: [404] });
  }

  async multiattachTypes(options: CallOptions = {}): Promise<readonly string[]> {
    const answer = await this.#endpoint
      .request({ ...options, method: 'GET', path: '/types', repeat: 'always' })
      .catch((error: unknown) => {
        // A user without the right to list types gets a clone of the source's type.
        if (CinderfsError.is(error) && (error.context.status ?? 0) < 500) return undefined;
        throw error;
      });
    if (answer === undefined) return [];
    const told = { what: "Cinder's answer to GET /types", requestId: answer.requestId };
    return requiredList(member(answer.body, 'volume_types', told), 'volume_types', told)
      .filter(isRecord)
      .filter(({ extra_specs: specs }) => isRecord(specs) && /^<is> true$/i.test(String(specs.multiattach)))
      .flatMap(({ name }) => optionalText(name) ?? []);
  }
}
