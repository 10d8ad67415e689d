/** What an attachment knows of its pool. */
export interface AttachmentOwner {
  /** Aborts when the process is about to exit: retries stop, the journal keeps what is left. */
  readonly end: AbortSignal;
  /** See Pool.settled. */
  readonly settled: () => boolean;
  /** Called when nothing of it is left and no caller wants it. */
  readonly onIdle: () => void;
}
