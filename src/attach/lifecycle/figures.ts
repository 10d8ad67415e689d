import type { ATTACH_METRICS, Counters, Gauges } from '../../metrics.js';
import type { AttachContext } from '../context/context.js';
import type { Attachment } from './attachment.js';

export interface AttachFigures {
  readonly gauges: Gauges<typeof ATTACH_METRICS>;
  readonly counters: Readonly<Counters<typeof ATTACH_METRICS>>;
}

/** The metrics of the attachments at this moment; metrics.ts says what each is. */
export function measure(
  attachments: readonly Attachment[],
  {
    counters,
    hostCalls,
    journal,
    slots,
  }: Pick<AttachContext, 'counters' | 'hostCalls' | 'journal' | 'slots'>,
): AttachFigures {
  const inState = (...states: readonly string[]): number =>
    attachments.filter(({ state }) => states.includes(state)).length;
  const sum = (of: (attachment: Attachment) => number): number =>
    attachments.reduce((total, attachment) => total + of(attachment), 0);
  const records = journal.list();
  const gauges = {
    held: inState('attached', 'lingering', 'parked'),
    leases: sum(({ leases }) => leases),
    lingering: inState('lingering'),
    attaching: inState('attaching'),
    detaching: inState('detaching'),
    fenced: inState('fenced'),
    waiting: sum(({ waiting }) => waiting),
    queued: slots.waiting,
    detach_retrying: attachments.filter(({ detachRetrying }) => detachRetrying).length,
    host_calls_hung: hostCalls.hung,
    clones: records.filter(({ clone }) => clone !== undefined).length,
    journal_records: records.length,
  };
  return { gauges, counters: { ...counters } };
}
