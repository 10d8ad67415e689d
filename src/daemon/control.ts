import { startControlServer, type ControlHandlers, type ControlServer } from '../ops/control-server.js';

/** The control socket of a daemon; closed and opened again when a mount changes hands. */
export class Control {
  readonly #path: string;
  readonly #handlers: ControlHandlers;
  #server: ControlServer | undefined;

  constructor(path: string, handlers: ControlHandlers) {
    this.#path = path;
    this.#handlers = handlers;
  }

  /** Throws `mountpoint_busy` when another daemon listens there. Idempotent. */
  async open(): Promise<void> {
    this.#server ??= await startControlServer(this.#path, this.#handlers);
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    await server?.close();
  }
}
