/** Reading the bytes of one image from its source. One reader serves every open handle of that attachment. */
export interface SourceReader {
  /** One handle's view: knows where that handle read last. */
  cursor(): Cursor;
  /** Next data or hole at or after `offset` (< size): an offset, or `size` when there is none. */
  seek(offset: number, whence: 'data' | 'hole', signal: AbortSignal): Promise<number>;
  /** True when the source has failed in a way that only a new attachment can cure. */
  readonly broken: boolean;
  /** Lets the source go as soon as no read is using it. Never fails. */
  close(): void;
}

export interface Cursor {
  /**
   * Exactly `length` bytes at `offset`, in a buffer that is the caller's; the caller keeps within the image. When
   * `signal` aborts no caller waits for the answer any more.
   */
  read(offset: number, length: number, signal: AbortSignal): Promise<Buffer>;
  /** Ends what was begun on behalf of this handle (read-ahead). */
  close(): void;
}
