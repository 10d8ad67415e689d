import type { ImageName } from '../backings/backing.js';
import type { Subject } from '../subject.js';

export type Unit = 'bytes/s' | 'operations/s' | 'times' | 'seconds' | 'seconds/GiB' | 'bytes';

/** One figure about a server. */
export interface Metric {
  readonly name: string;
  readonly unit: Unit;
  /** What it means, for the document. */
  readonly meaning: string;
  readonly better: 'more' | 'less';
  readonly image: ImageName;
  /** Measures once. Undefined where the figure means nothing for this subject. */
  measure(subject: Subject): Promise<number | undefined>;
}
