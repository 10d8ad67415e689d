import { open, type FileHandle } from 'node:fs/promises';
import type { Cleanup } from '../src/async/cleanup.js';
import type { Backing, Image, Target } from './backings/backing.js';
import { cachedBytes, dropPageCache } from './page-cache.js';
import type { Served, Server } from './servers/server.js';
import { bytesRead, cpuSeconds, peakResidentBytes, residentBytes, withDescendants } from './usage.js';
import type { Workbench } from './workbench.js';

/** What is measured: one image of a backing as one server serves it. */
export class Subject {
  readonly image: Image;
  readonly workbench: Workbench;
  readonly #server: Server;
  readonly #backing: Backing;
  #running: Running | undefined;
  /** Whether anything but the first open has come to the server since it was started. */
  #isUsed = false;

  constructor(server: Server, image: Image, backing: Backing, workbench: Workbench) {
    this.#server = server;
    this.image = image;
    this.#backing = backing;
    this.workbench = workbench;
  }

  get serverName(): string {
    return this.#server.name;
  }

  get target(): Target {
    return this.#now().served.target;
  }

  /**
   * Starts the server and opens the image once, for as long as it runs: what a server does at the first open
   * (cinderfs attaches the volume) is no part of any measurement.
   */
  async start(): Promise<void> {
    const room = await this.workbench.room();
    try {
      const served = await this.#server.start(this.image, this.#backing, room);
      const holder = served.target.kind === 'path' ? await open(served.target.path) : undefined;
      room.cleanup.defer('close the image', () => holder?.close());
      this.#running = { served, holder, cleanup: room.cleanup };
      this.#isUsed = false;
    } catch (error) {
      await room.cleanup.run();
      throw error;
    }
  }

  async stop(): Promise<void> {
    const failures = (await this.#running?.cleanup.run()) ?? [];
    this.#running = undefined;
    for (const { what, error } of failures) throw new Error(`${this.serverName}: ${what}`, { cause: error });
  }

  /** Makes sure that none of the image's bytes are in memory but the source's own. Whoever reads calls it first. */
  async chill(): Promise<void> {
    if (this.#isUsed && this.#server.hasOwnCache(this.image)) {
      await this.stop();
      await this.start();
    }
    this.#isUsed = true;
    await dropPageCache();
    const cached = await this.#cachedByMount();
    if (cached > 0)
      throw new Error(`the page cache still holds ${cached} bytes of what ${this.serverName} serves`);
  }

  /** What the kernel has of the file that a server serves; the source itself may be all memory. */
  #cachedByMount(): Promise<number> {
    const { target, pids, passesThrough = false } = this.#now().served;
    const isServed = target.kind === 'path' && pids.length > 0 && !passesThrough;
    return isServed ? cachedBytes(target.path, this.workbench.signal) : Promise.resolve(0);
  }

  /** Bytes taken from the source so far; undefined where nothing counts them. Only differences mean something. */
  async bytesTaken(): Promise<number | undefined> {
    if (this.image.bytesGiven !== undefined) return this.image.bytesGiven();
    const pids = await this.#now().served.sourcePids();
    return pids.length === 0 ? undefined : bytesRead(pids);
  }

  /** CPU time of everything that serves the image. Kernel threads (the loop device's) are not in it. */
  async cpuSeconds(): Promise<number> {
    return cpuSeconds(await this.#pids());
  }

  async residentBytes(): Promise<number> {
    return residentBytes(await this.#pids());
  }

  async peakResidentBytes(): Promise<number> {
    return peakResidentBytes(await this.#pids());
  }

  #pids(): Promise<number[]> {
    return withDescendants(this.#now().served.pids);
  }

  #now(): Running {
    if (this.#running === undefined) throw new Error(`${this.serverName} is not running`);
    return this.#running;
  }
}

interface Running {
  readonly served: Served;
  readonly holder: FileHandle | undefined;
  readonly cleanup: Cleanup;
}
