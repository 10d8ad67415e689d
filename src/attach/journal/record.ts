/** What the journal knows of one attachment of ours: enough to undo it from any step. Never holds a secret. */

/** The step about to be taken; every step but `attached` changes the world right after it was recorded. */
export const STEPS = [
  'clone',
  'reserve',
  'export',
  'connect',
  'complete',
  'attached',
  'disconnect',
  'delete',
  'delete_clone',
] as const;
export type AttachStep = (typeof STEPS)[number];

/** What a connector needs to find and remove what it made on this host, after a crash too. */
export type HostRecord = Readonly<Record<string, string | number>>;

/** A volume that we made to read another one through it. */
export interface CloneRecord {
  /** Given by us, to this request alone: by it a clone is found whose id we were never told. */
  readonly name: string;
  /** Cinder answered the request, be it with an error. */
  readonly answered: boolean;
  readonly volumeId?: string | undefined;
}

export interface ImageHash {
  readonly algorithm: string;
  /** Hexadecimal. */
  readonly value: string;
}

/** Times are of Clock.uptime(). */
export interface Search {
  readonly begun: number;
  /** When each reservation that may be ours was seen first. */
  readonly seen: Readonly<Record<string, number>>;
}

export interface AttachmentRecord {
  readonly version: 1;
  /** Of the image; with a clone, that is what is attached. */
  readonly volumeId: string;
  readonly clone?: CloneRecord | undefined;
  readonly imageId: string;
  readonly imageName: string;
  /** Bytes. */
  readonly imageSize: number;
  /** What Glance says its bytes are. */
  readonly hash?: ImageHash | undefined;
  /** Of the volume that is attached. */
  readonly multiattach: boolean;
  readonly step: AttachStep;
  /** Wall clock, milliseconds: when the attachment was begun. */
  readonly since: number;
  /** Attachments the volume had before we reserved: none of them is ours. */
  readonly before: readonly string[];
  /** Cinder answered the reservation, be it with an error: what it did, it has done by now. */
  readonly answered: boolean;
  readonly attachmentId?: string | undefined;
  /** Looks that were taken for what an unanswered reservation made (orphan.ts). */
  readonly search?: Search | undefined;
  readonly connector?: string | undefined;
  /** Planned before the connector starts, completed after it. */
  readonly host?: HostRecord | undefined;
  /** The backend's own name of the volume, where it proves something (identity.ts). */
  readonly backend?: string | undefined;
  /** What is connected goes by a name that the backend gave to this volume alone (identity.ts). */
  readonly named?: boolean | undefined;
  /** Why that is not enough to prove its bytes. */
  readonly doubt?: 'decoded' | 'encrypted' | undefined;
  /** Wall clock, milliseconds: a process that read it died then at the latest, and closed nothing. */
  readonly abandonedAt?: number | undefined;
  /** Held, in this order, while it is connected or removed: other services of this host take them too. */
  readonly locks?: readonly string[] | undefined;
}

/** The volume that is attached: the image's own, or the clone that it is read through. */
export function attachedVolumeOf({ volumeId, clone }: AttachmentRecord): string {
  return clone?.volumeId ?? volumeId;
}

/** The record in `value`, or undefined when it is none that this version understands. */
export function parseRecord(value: unknown): AttachmentRecord | undefined {
  if (!isObject(value) || value.version !== 1) return undefined;
  const whole = Object.entries(FIELDS).every(([name, holds]) => holds(value[name]));
  return whole ? (value as unknown as AttachmentRecord) : undefined;
}

type Holds = (value: unknown) => boolean;

const text: Holds = (value) => typeof value === 'string';
const truth: Holds = (value) => typeof value === 'boolean';
const number: Holds = (value) => Number.isFinite(value);
const texts: Holds = (value) => Array.isArray(value) && value.every(text);
const step: Holds = (value) => STEPS.includes(value as AttachStep);
const every =
  (holds: Holds): Holds =>
  (value) =>
    isObject(value) && Object.values(value).every(holds);
const fields =
  (wanted: Readonly<Record<string, Holds>>): Holds =>
  (value) =>
    isObject(value) && Object.entries(wanted).every(([name, holds]) => holds(value[name]));
const maybe =
  (holds: Holds): Holds =>
  (value) =>
    value === undefined || holds(value);

const FIELDS: Readonly<Record<Exclude<keyof AttachmentRecord, 'version'>, Holds>> = {
  volumeId: text,
  clone: maybe(fields({ name: text, answered: truth, volumeId: maybe(text) })),
  imageId: text,
  imageName: text,
  imageSize: number,
  hash: maybe(fields({ algorithm: text, value: text })),
  multiattach: truth,
  step,
  since: number,
  before: texts,
  answered: truth,
  attachmentId: maybe(text),
  search: maybe(fields({ begun: number, seen: every(number) })),
  connector: maybe(text),
  host: maybe(every((value) => text(value) || number(value))),
  backend: maybe(text),
  named: maybe(truth),
  // Any text: what a later version doubts is doubted.
  doubt: maybe(text),
  abandonedAt: maybe(number),
  locks: maybe(texts),
};

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
