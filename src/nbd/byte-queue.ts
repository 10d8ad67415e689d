/** Bytes that arrived, and the waiters for them: the handshake reads exact lengths from it. */
export class ByteQueue {
  #bytes = Buffer.alloc(0);
  #wanted = 0;
  #waiter: { resolve: (bytes: Buffer) => void; reject: (error: Error) => void } | undefined;
  #ended: Error | undefined;

  push(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    this.#settle();
  }

  /** Bytes that were not taken. */
  get left(): number {
    return this.#bytes.length;
  }

  /** Nothing more will come: the waiter, and every later one, gets `error`. */
  end(error: Error): void {
    this.#ended ??= error;
    this.#settle();
  }

  /** The next `length` bytes. One waiter at a time. */
  take(length: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#wanted = length;
      this.#waiter = { resolve, reject };
      this.#settle();
    });
  }

  #settle(): void {
    const waiter = this.#waiter;
    if (waiter === undefined) return;
    if (this.#bytes.length >= this.#wanted) {
      this.#waiter = undefined;
      const taken = this.#bytes.subarray(0, this.#wanted);
      this.#bytes = this.#bytes.subarray(this.#wanted);
      waiter.resolve(taken);
    } else if (this.#ended !== undefined) {
      this.#waiter = undefined;
      waiter.reject(this.#ended);
    }
  }
}
