import type { Connected, Connector } from '../connection/connector.js';
import type { AttachmentRecord } from '../journal/record.js';

/** An attachment that may be read: what the states attached and lingering own. */
export interface LiveAttachment {
  readonly record: AttachmentRecord;
  readonly connector: Connector;
  /** Replaced when the connection is lost and made again: same source, same attachment. */
  connected: Connected;
  /** How many connections there were, this one included. */
  connections: number;
  /** What the source named when it was first proven. */
  object: string | undefined;
  /** Cuts the leases. */
  readonly fence: AbortController;
  /** Clock.now() of the last proof and of Cinder's last word; -Infinity asks for a new one. */
  provenAt: number;
  checkedAt: number;
  reconnectedAt: number;
  /** Losses in a row, each soon after the one before was made good. */
  quickLosses: number;
  /** The proof that is under way, shared by all opens meanwhile. */
  proving: { readonly since: number; readonly done: Promise<void> } | undefined;
  /** Settles when a lost connection was made again, or given up. */
  reconnecting: Promise<void>;
}

export function hold(record: AttachmentRecord, connector: Connector, connected: Connected): LiveAttachment {
  return {
    record,
    connector,
    connected,
    connections: 1,
    object: undefined,
    fence: new AbortController(),
    provenAt: -Infinity,
    checkedAt: -Infinity,
    reconnectedAt: -Infinity,
    quickLosses: 0,
    proving: undefined,
    reconnecting: Promise.resolve(),
  };
}

/** Calls `listener` once when the connection is lost: now, if it is already. */
export function whenLost({ connected: { lost } }: LiveAttachment, listener: () => void): void {
  if (lost.aborted) listener();
  else lost.addEventListener('abort', listener, { once: true });
}
