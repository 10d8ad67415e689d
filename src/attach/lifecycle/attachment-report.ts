import type { AttachmentRecord } from '../journal/record.js';
import type { AttachableImage, AttachmentReport } from '../contract/lease.js';
import { describeSource } from '../../sources/registry.js';
import type { Source } from '../../sources/contract/source.js';

type Moment = Pick<AttachmentReport, 'state' | 'leases' | 'lingerLeftMs' | 'ageMs' | 'lastError'> & {
  readonly source: Source | undefined;
};

/** One attachment for `cinderfs status`: what it is of, what is recorded of it, and how it is at this moment. */
export function attachmentReport(
  image: AttachableImage,
  record: AttachmentRecord | undefined,
  { source, ...moment }: Moment,
): AttachmentReport {
  return {
    ...moment,
    volumeId: image.volumeId,
    imageId: image.id,
    imageName: image.name,
    attachmentId: record?.attachmentId,
    cloneId: record?.clone?.volumeId,
    source: source === undefined ? undefined : describeSource(source),
  };
}
