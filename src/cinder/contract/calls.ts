/** What every call of an OpenStack service takes. */

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for the whole call, retries included; the client's default when absent. */
  readonly deadlineMs?: number | undefined;
}

/** Of a listing. */
export interface ListOptions extends CallOptions {
  /** Told once how many entries could not be understood and are left out. */
  readonly onSkipped?: ((count: number) => void) | undefined;
}
