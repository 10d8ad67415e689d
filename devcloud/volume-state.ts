/**
 * Cinder's volume and attachment state machine, pure. It is Cinder 21 (Zed) as recorded, quirks included:
 * reserving is a compare-and-set on the volume's status, nothing is rolled back when a connector fails, and after a
 * deletion the volume's status is recomputed from what remains.
 */

export type VolumeStatus =
  | 'creating'
  | 'available'
  | 'downloading'
  | 'reserved'
  | 'attaching'
  | 'in-use'
  | 'detaching'
  | 'deleting'
  | 'maintenance'
  | 'error'
  | 'error_extending'
  | 'error_deleting';

export type AttachmentStatus = 'reserved' | 'attaching' | 'attached' | 'detaching';

/** An attachment as far as the state machine cares. */
export interface HeldAttachment {
  readonly id: string;
  readonly status: AttachmentStatus;
  /** Nova instance, if the caller named one. */
  readonly instance: string | null;
  /** The driver has given connection info for it. */
  readonly connected: boolean;
}

/** A volume as far as the state machine cares. */
export interface AttachState {
  readonly volumeId: string;
  readonly status: VolumeStatus;
  readonly multiattach: boolean;
  readonly attachments: readonly HeldAttachment[];
}

export type AttachEvent =
  | { readonly is: 'reserve'; readonly id: string; readonly instance: string | null }
  | { readonly is: 'connect'; readonly id: string }
  | { readonly is: 'complete'; readonly id: string }
  | { readonly is: 'delete'; readonly id: string };

/** Why Cinder says no: an InvalidVolume reason. The API decides the HTTP status it becomes. */
export interface Refusal {
  readonly invalidVolume: string;
}

export type Transition = { readonly state: AttachState } | { readonly refused: Refusal };

/** What `event` does to a volume. An event for an attachment that is not there changes nothing. */
export function next(state: AttachState, event: AttachEvent): Transition {
  switch (event.is) {
    case 'reserve':
      return reserve(state, event.id, event.instance);
    case 'connect':
      return connect(state, event.id);
    case 'complete':
      return { state: withStatus(state, event.id, 'attached', 'in-use') };
    case 'delete':
      return { state: remove(state, event.id) };
  }
}

/** attached > attaching > detaching > reserved (Cinder sorts the words), none: available. */
export function statusFromAttachments(statuses: readonly AttachmentStatus[]): VolumeStatus {
  const first = statuses.toSorted()[0];
  if (first === undefined) return 'available';
  return first === 'attached' ? 'in-use' : first;
}

function reserve(state: AttachState, id: string, instance: string | null): Transition {
  if (state.status.includes('error')) return { refused: inError(state, 'created') };
  const allowed: VolumeStatus[] = state.multiattach
    ? ['available', 'in-use', 'downloading']
    : ['available', 'downloading'];
  if (!allowed.includes(state.status) && !isMigration(state, instance)) {
    return {
      refused: {
        invalidVolume: `Volume ${state.volumeId} status must be ${allowed.join(' or ')} to reserve, but the current status is ${state.status}.`,
      },
    };
  }
  // A migration leaves the status alone: the compare-and-set failed and was overridden.
  const status = allowed.includes(state.status) ? 'reserved' : state.status;
  const held: HeldAttachment = { id, status: 'reserved', instance, connected: false };
  return { state: { ...state, status, attachments: [...state.attachments, held] } };
}

/** The same Nova instance may reserve a second time: that is how live migration works. */
function isMigration(state: AttachState, instance: string | null): boolean {
  const movable = state.status === 'in-use' || state.status === 'reserved';
  return movable && instance !== null && state.attachments.some((held) => held.instance === instance);
}

function connect(state: AttachState, id: string): Transition {
  if (state.status.includes('error')) return { refused: inError(state, 'updated') };
  const others = state.attachments.length > 1 && state.attachments.some((held) => held.connected);
  if (others && !state.multiattach) {
    return { refused: { invalidVolume: `duplicate connectors detected on volume ${state.volumeId}` } };
  }
  return { state: withStatus(state, id, 'attaching', 'attaching') };
}

function inError(state: AttachState, verb: string): Refusal {
  return {
    invalidVolume: `Volume attachments can not be ${verb} if the volume is in an error state. The Volume ${state.volumeId} currently has a status of: ${state.status} `,
  };
}

function withStatus(
  state: AttachState,
  id: string,
  attachment: AttachmentStatus,
  volume: VolumeStatus,
): AttachState {
  if (!state.attachments.some((held) => held.id === id)) return state;
  const attachments = state.attachments.map((held) =>
    held.id === id
      ? { ...held, status: attachment, connected: held.connected || attachment === 'attaching' }
      : held,
  );
  return { ...state, status: volume, attachments };
}

function remove(state: AttachState, id: string): AttachState {
  const attachments = state.attachments.filter((held) => held.id !== id);
  if (attachments.length === state.attachments.length) return state;
  return { ...state, attachments, status: statusFromAttachments(attachments.map((held) => held.status)) };
}
