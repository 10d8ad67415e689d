import type { Volume } from '../../cinder/contract/volumes.js';
import type { AttachContext } from '../context/context.js';
import type { AttachmentRecord } from '../journal/record.js';
import { CloneTarget } from './clone-target.js';
import { DirectTarget } from './direct-target.js';
import type { Target } from './target.js';

/** The target of an attachment that is about to be made. */
export function newTarget(
  intent: AttachmentRecord,
  source: Volume,
  { isolate }: Pick<AttachContext, 'isolate'>,
): Target {
  return isolate === 'none' || source.multiattach ? new DirectTarget(intent) : new CloneTarget(intent);
}

/** The target of the attachment that `record` tells of. */
export function targetOf(record: AttachmentRecord): Target {
  return record.clone === undefined ? new DirectTarget(record) : new CloneTarget(record);
}
