export interface ReapOptions {
  /** Only say what would be deleted. */
  readonly dryRun: boolean;
  /** A host that will not come back, as it called itself to Cinder. Default: what this mount lost track of. */
  readonly deadHost?: string | undefined;
}

/** Something of ours in Cinder that no process of this host knows. */
export interface Leftover {
  readonly what: 'attachment' | 'clone';
  /** The volume that is attached, or that is the clone. */
  readonly volumeId: string;
  /** Undefined where a journal remembers a reservation whose answer never came. */
  readonly attachmentId: string | undefined;
  /** The mount it says it belongs to (`cinderfs:HOST:MOUNT`); undefined for a reservation, which says nothing. */
  readonly owner: string | undefined;
  readonly deleted: boolean;
}
