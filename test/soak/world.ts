import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { type Devcloud, startDevcloud } from '../../devcloud/devcloud.js';
import { eventually } from '../support/eventually.js';
import { SoakHost } from './host.js';
import { RECIPES, type SoakImage, writeSample } from './images.js';
import type { Tally } from './tally.js';

/** The cloud, the hosts and the images; what readers and hurts share. */
export class World {
  readonly dir: string;
  readonly tally: Tally;
  /** By name: an image that is replaced changes its id and its bytes. */
  readonly images = new Map<string, SoakImage>();
  readonly hosts: SoakHost[] = [];
  /** Attachments of hosts that are not ours: nobody but they may remove them. */
  readonly foreign = new Set<string>();
  /** Readers of each image at work. */
  readonly #readers = new Map<string, number>();
  readonly #closed = new Set<string>();
  #devcloud: Devcloud | undefined;
  /** The cloud keeps it through restarts: the catalog of Keystone names it. */
  #port = 0;
  #samples = 0;

  constructor(dir: string, tally: Tally) {
    this.dir = dir;
    this.tally = tally;
  }

  get devcloud(): Devcloud {
    if (this.#devcloud === undefined) throw new Error('the cloud is being restarted');
    return this.#devcloud;
  }

  async start(): Promise<void> {
    await this.startCloud();
    for (const recipe of RECIPES) {
      const file = await this.sample(recipe);
      const image = await this.devcloud.addImage(recipe.spec, { file });
      this.adopt(image, recipe.spec.multiattach ?? true, file);
    }
    for (const name of ['elder', 'mortal'])
      this.hosts.push(
        await SoakHost.make({
          name,
          dir: this.dir,
          env: this.devcloud.env,
          onViolation: (sentence) => this.tally.violation(sentence),
        }),
      );
  }

  /** The host whose daemon lives through the whole soak. */
  get elder(): SoakHost {
    return this.#host(0);
  }

  /** The host whose daemon is killed and unmounted. */
  get mortal(): SoakHost {
    return this.#host(1);
  }

  async startCloud(): Promise<void> {
    const port = this.#port;
    this.#devcloud = await startDevcloud({ dir: path.join(this.dir, 'cloud'), port });
    this.#port = this.#devcloud.port;
  }

  /** Every connection is cut, every token forgotten; what it has is on disk. */
  async stopCloud(): Promise<void> {
    const cloud = this.#devcloud;
    this.#devcloud = undefined;
    await cloud?.close();
  }

  get cloudRuns(): boolean {
    return this.#devcloud !== undefined;
  }

  async sample(recipe: (typeof RECIPES)[number]): Promise<string> {
    const file = path.join(this.dir, 'samples', `${(this.#samples += 1)}`);
    await mkdir(path.dirname(file), { recursive: true });
    await writeSample(recipe, file);
    return file;
  }

  adopt(
    made: { id: string; size: number | null; volumeId: string | undefined; name: string | null },
    multiattach: boolean,
    source: string,
  ): void {
    const { id, size, volumeId = '', name } = made;
    this.images.set(name ?? '', { id, name: name ?? '', size: size ?? 0, volumeId, multiattach, source });
  }

  /** Runs a reader of `image`, unless somebody has it for himself. */
  async reading<T>(image: SoakImage, work: () => Promise<T>): Promise<T | undefined> {
    if (this.#closed.has(image.name)) return undefined;
    this.#readers.set(image.name, (this.#readers.get(image.name) ?? 0) + 1);
    try {
      return await work();
    } finally {
      this.#readers.set(image.name, (this.#readers.get(image.name) ?? 1) - 1);
    }
  }

  /** Runs `work` while nobody has the image open on any host: whoever opens it afterwards opens it anew. */
  async alone(image: SoakImage, work: () => Promise<void>): Promise<void> {
    if (this.#closed.has(image.name)) return;
    this.#closed.add(image.name);
    try {
      await eventually(`nobody reads ${image.name}`, async () => {
        if ((this.#readers.get(image.name) ?? 0) > 0) return undefined;
        const open = await Promise.all(this.hosts.map((host) => hasOpen(host, image)));
        return open.includes(true) ? undefined : true;
      });
      await work();
    } finally {
      this.#closed.delete(image.name);
    }
  }

  async close(): Promise<void> {
    for (const host of this.hosts) await host.close();
    await this.stopCloud();
    if (this.tally.violations.length === 0) await rm(this.dir, { recursive: true, force: true });
  }

  #host(index: number): SoakHost {
    const host = this.hosts[index];
    if (host === undefined) throw new Error('the soak has not started');
    return host;
  }
}

/** A daemon that does not answer may have anything open. */
async function hasOpen(host: SoakHost, image: SoakImage): Promise<boolean> {
  if (!host.serves) return false;
  const status = await host.status();
  return status?.open_files.some(({ image_id: id }) => id === image.id) ?? true;
}
