import { CinderfsError } from '../../src/errors.js';
import type { Attachment, Attachments, ConnectorProperties } from '../../src/cinder/contract/attachments.js';
import type { Snapshot, Volume, Volumes } from '../../src/cinder/contract/volumes.js';

export type Call = 'create' | 'update' | 'complete' | 'show' | 'list' | 'delete' | 'volume' | 'snapshots';

/** What becomes of one call: `refuse` has no effect, `lose` takes effect but the answer never arrives. */
export type Fault = { readonly refuse: CinderfsError } | { readonly lose: CinderfsError };

interface StoredVolume {
  readonly id: string;
  readonly sizeGib: number;
  readonly multiattach: boolean;
  status: string;
  readonly name: string;
  metadata: Readonly<Record<string, string>>;
  /** It is a clone of that one. */
  readonly sourceId: string | undefined;
  readonly encrypted: boolean;
}

interface StoredAttachment {
  readonly id: string;
  readonly volumeId: string;
  status: 'reserved' | 'attaching' | 'attached';
  connector: ConnectorProperties | undefined;
}

/**
 * Cinder's attachments as reference 2.1.1 gives them, in memory: compare-and-set on the volume's status, one host at a
 * time between create and complete, nothing rolled back. `gate` decides when a call runs and what becomes of it.
 */
export class SimulatedCinder implements Attachments, Volumes {
  readonly volumes = new Map<string, StoredVolume>();
  readonly stored = new Map<string, StoredAttachment>();
  readonly calls: Call[] = [];
  gate: (call: Call) => Promise<Fault | undefined> = () => Promise.resolve(undefined);
  protocol = 'simulated';
  /** Of every volume. */
  snapshotIds: readonly string[] = [];
  /** What it says of every connection besides. */
  info: Readonly<Record<string, unknown>> = {};
  #next = 1;

  addVolume(id: string, options: Partial<Omit<StoredVolume, 'id' | 'status'>> = {}): void {
    const { multiattach = true, sizeGib = 1, name = `image-of-${id}`, metadata = {}, sourceId } = options;
    const { encrypted = false } = options;
    const status = sourceId === undefined ? 'available' : 'creating';
    this.volumes.set(id, { id, sizeGib, multiattach, status, name, metadata, sourceId, encrypted });
  }

  /** What one look at a volume shows; what Cinder is making or deleting is ready by the next. */
  look(id: string): Volume {
    const seen = this.#viewVolume(id);
    const volume = this.volumes.get(id);
    if (volume?.status === 'creating') volume.status = 'available';
    if (volume?.status === 'deleting') this.volumes.delete(id);
    return seen;
  }

  /** Another host's attachment, in the state it would have. */
  attachElsewhere(volumeId: string, status: StoredAttachment['status']): string {
    const id = this.#reserve(volumeId);
    const attachment = this.#find(id);
    attachment.status = status;
    this.#recompute(volumeId);
    return id;
  }

  /** What an operator's `cinder attachment-delete` does. */
  forceDelete(id: string): void {
    const attachment = this.stored.get(id);
    if (attachment === undefined) return;
    this.stored.delete(id);
    this.#recompute(attachment.volumeId);
  }

  /** The volume says that it holds that image. */
  claim(volumeId: string, imageId: string): void {
    const volume = this.volumes.get(volumeId);
    if (volume !== undefined) volume.metadata = { ...volume.metadata, glance_image_id: imageId };
  }

  create(volumeId: string): Promise<Attachment> {
    return this.#call('create', () => this.#view(this.#reserve(volumeId)));
  }

  update(id: string, connector: ConnectorProperties): Promise<Attachment> {
    return this.#call('update', () => {
      const attachment = this.#find(id);
      if (attachment.status === 'reserved') attachment.status = 'attaching';
      attachment.connector = connector;
      this.#recompute(attachment.volumeId);
      return this.#view(id);
    });
  }

  complete(id: string): Promise<void> {
    return this.#call('complete', () => {
      const attachment = this.#find(id);
      attachment.status = 'attached';
      this.#recompute(attachment.volumeId);
    });
  }

  // `show` is both interfaces': an id of a volume shows the volume.
  show(id: string): Promise<Attachment & Volume> {
    const call = this.volumes.has(id) ? 'volume' : 'show';
    return this.#call(
      call,
      () => (call === 'volume' ? this.look(id) : this.#view(id)) as Attachment & Volume,
    );
  }

  list(): Promise<readonly Volume[]> {
    return this.#call('volume', () => [...this.volumes.keys()].map((id) => this.#viewVolume(id)));
  }

  snapshots(volumeId: string): Promise<readonly Snapshot[]> {
    const seen = (): readonly Snapshot[] =>
      this.snapshotIds.map((id) => ({ id, volumeId, status: 'available' }));
    return this.#call('snapshots', seen);
  }

  listForVolume(volumeId: string): Promise<readonly Attachment[]> {
    return this.#call('list', () => this.#of(volumeId).map(({ id }) => this.#view(id)));
  }

  delete(id: string): Promise<void> {
    return this.#call('delete', () => this.forceDelete(id));
  }

  async #call<T>(call: Call, effect: () => T): Promise<T> {
    this.calls.push(call);
    const fault = await this.gate(call);
    if (fault !== undefined && 'refuse' in fault) throw fault.refuse;
    const answer = effect();
    if (fault !== undefined) throw fault.lose;
    return answer;
  }

  #reserve(volumeId: string): string {
    const volume = this.volumes.get(volumeId);
    if (volume === undefined) throw new CinderfsError('not_found', `no volume ${volumeId}`, { status: 404 });
    const admitted = volume.multiattach
      ? ['available', 'downloading', 'in-use']
      : ['available', 'downloading'];
    if (!admitted.includes(volume.status)) {
      const wanted = admitted.filter((status) => status !== 'downloading').join(' or ');
      throw new CinderfsError('conflict', `status must be ${wanted} to reserve, but is ${volume.status}`, {
        status: 400,
      });
    }
    const id = `attachment-${this.#next++}`;
    this.stored.set(id, { id, volumeId, status: 'reserved', connector: undefined });
    volume.status = 'reserved';
    return id;
  }

  #of(volumeId: string): readonly StoredAttachment[] {
    return [...this.stored.values()].filter((attachment) => attachment.volumeId === volumeId);
  }

  #recompute(volumeId: string): void {
    const volume = this.volumes.get(volumeId);
    if (volume === undefined) return;
    const statuses = this.#of(volumeId).map(({ status }) => status);
    if (statuses.includes('attaching')) volume.status = 'attaching';
    else if (statuses.includes('reserved')) volume.status = 'reserved';
    else volume.status = statuses.includes('attached') ? 'in-use' : 'available';
  }

  #find(id: string): StoredAttachment {
    const attachment = this.stored.get(id);
    if (attachment === undefined)
      throw new CinderfsError('not_found', `no attachment ${id}`, { status: 404 });
    return attachment;
  }

  #view(id: string): Attachment {
    const { volumeId, status, connector } = this.#find(id);
    const connectionInfo =
      connector === undefined
        ? undefined
        : { driver_volume_type: this.protocol, volume_id: volumeId, ...this.info };
    return { id, volumeId, status, attachMode: 'ro', instanceId: undefined, connectionInfo };
  }

  #viewVolume(id: string): Volume {
    const volume = this.volumes.get(id);
    if (volume === undefined) throw new CinderfsError('not_found', `no volume ${id}`, { status: 404 });
    return {
      ...volume,
      projectId: undefined,
      volumeType: undefined,
      sharedTargets: undefined,
      serviceUuid: undefined,
      attachments: this.#of(id)
        .filter(({ status }) => status === 'attached')
        .map((attachment) => ({
          attachmentId: attachment.id,
          serverId: undefined,
          hostName: attachment.connector?.host,
          device: attachment.connector?.mountpoint,
        })),
    };
  }
}
