import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rm, stat } from 'node:fs/promises';
import { eventually } from './eventually.js';

/** A real qemu-nbd that serves one raw file, or whatever `image` says in QEMU's own words (`driver=...`). */
export class QemuNbd {
  readonly socket: string;
  readonly #image: string;
  #child: ChildProcess | undefined;

  constructor(socket: string, image: string) {
    this.socket = socket;
    this.#image = image;
  }

  async start(undo: { after(undo: () => Promise<unknown>): void }): Promise<void> {
    const image = this.#image.startsWith('driver=') ? ['--image-opts'] : ['--format=raw'];
    const args = ['--read-only', ...image, '--shared=0', '--persistent', '--socket', this.socket];
    const child = spawn('qemu-nbd', [...args, this.#image], { stdio: ['ignore', 'ignore', 'inherit'] });
    this.#child = child;
    undo.after(() => this.stop());
    await eventually('qemu-nbd listens', () => stat(this.socket).catch(() => undefined));
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  /** Kills it, stopped or not. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
    await rm(this.socket, { force: true });
  }
}
