import { reasonOf } from '../../../errors.js';
import type { Log } from '../../../log.js';
import type { Descriptor } from './descriptors.js';
import type { KernelChannel } from '../channel/kernel-channel.js';

/** Registers files with the kernel; undefined where kernel or host do not offer passthrough. */
export type PassthroughSupport = Pick<KernelChannel, 'openBacking' | 'closeBacking'>;

interface NodeOpens {
  opens: number;
  readonly backingId: number | undefined;
}

/**
 * Passthrough: which inodes the kernel reads by itself (Linux >= 6.9). All opens of an inode are served the same
 * way, with one backing id: the kernel answers EIO when cached and passthrough opens meet.
 */
export class Backings {
  readonly #power: PassthroughSupport | undefined;
  readonly #log: Log;
  readonly #nodes = new Map<number, NodeOpens>();

  constructor(power: PassthroughSupport | undefined, log: Log) {
    this.#power = power;
    this.#log = log;
  }

  /**
   * Counts one more open of `node`; the backing id to answer OPEN with, undefined to serve it ourselves. Every call
   * is undone by one release().
   */
  acquire(node: number, size: number, descriptor: Descriptor | undefined): number | undefined {
    const known = this.#nodes.get(node);
    if (known !== undefined) {
      known.opens += 1;
      return known.backingId;
    }
    const backingId = this.#register(size, descriptor);
    this.#nodes.set(node, { opens: 1, backingId });
    return backingId;
  }

  /** Counts an open that an earlier engine answered: with this backing id, or served by itself. */
  adopt(node: number, backingId: number | undefined): void {
    const known = this.#nodes.get(node);
    if (known === undefined) this.#nodes.set(node, { opens: 1, backingId });
    else known.opens += 1;
  }

  /** The backing id that opens of `node` are answered with. */
  of(node: number): number | undefined {
    return this.#nodes.get(node)?.backingId;
  }

  release(node: number): void {
    const known = this.#nodes.get(node);
    if (known === undefined) return;
    known.opens -= 1;
    if (known.opens > 0) return;
    this.#nodes.delete(node);
    if (known.backingId !== undefined) this.#close(known.backingId);
  }

  #register(size: number, descriptor: Descriptor | undefined): number | undefined {
    if (this.#power === undefined || descriptor === undefined) return undefined;
    const { passthroughFd, size: bytes } = descriptor.published;
    // The kernel reads a backing file to its own end: one byte more than the image would be foreign data.
    if (passthroughFd === undefined || bytes !== size) return undefined;
    try {
      return this.#power.openBacking(passthroughFd);
    } catch (error) {
      this.#log.debug({ source: descriptor.name, reason: reasonOf(error) }, 'no passthrough for this file');
      return undefined;
    }
  }

  #close(backingId: number): void {
    try {
      this.#power?.closeBacking(backingId);
    } catch (error) {
      this.#log.debug({ backingId, reason: reasonOf(error) }, 'the kernel kept a backing file');
    }
  }
}
