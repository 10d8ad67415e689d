import type { Volume } from '../../cinder/contract/volumes.js';
import type { Connector } from '../connection/connector.js';
import type { AttachContext } from '../context/context.js';
import type { AttachmentRecord, HostRecord } from '../journal/record.js';
import { deleteClone, makeClone } from './clone.js';
import type { Made, Target } from './target.js';

/** A clone of the image's volume, a volume of its own and ours alone. */
export class CloneTarget implements Target {
  readonly leaves = true;
  readonly lingers = true;
  readonly outlivesSource = true;
  readonly renamed = true;
  readonly #record: AttachmentRecord;

  constructor(record: AttachmentRecord) {
    this.#record = record;
  }

  async make(source: Volume, context: AttachContext, signal: AbortSignal): Promise<Made> {
    const work = (): ReturnType<typeof makeClone> => makeClone(this.#record, source, context, signal);
    const { volume, clone } = await context.slots.run(work, signal);
    return { record: { ...this.#record, clone, multiattach: volume.multiattach }, volume };
  }

  remove(context: AttachContext, signal: AbortSignal): Promise<void> {
    return deleteClone(this.#record, context, signal);
  }

  lostAt(wall: number): AttachmentRecord {
    return { ...this.#record, abandonedAt: wall };
  }

  async abandoned(connector: Connector, host: HostRecord): Promise<boolean> {
    return (await connector.abandoned?.(host)) === true;
  }
}
