/** Images come and go here: from DIR/images, from addImage, by deletion. Owns the volume files under DIR/volumes. */

import { access, constants, mkdir, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { CinderfsError, reasonOf } from '../src/errors.js';
import { findImageFiles, specOf, type ImageFile } from './image-files.js';
import {
  freeImageId,
  imageFor,
  volumeFor,
  type ImageDefaults,
  type ImageSpec,
  type Measured,
} from './image-spec.js';
import type { Cloud, Image, Volume } from './model.js';
import {
  copySparse,
  digestBytes,
  digestFile,
  GIB,
  toQcow2,
  virtualSizeOf,
  writeSparse,
} from './volume-file.js';

/** Beyond this Glance's hash would take longer than a newcomer waits: the image has none, as an old one may. */
const HASH_LIMIT = GIB;

/** Where the bytes of a new image come from: a file to copy, bytes at hand, or nothing (zeros). */
export interface ImageBytes {
  readonly file?: string;
  readonly data?: Uint8Array;
}

/** The images of one devcloud directory. Its work is serial: ids are handed out, and volumes made, one at a time. */
export class ImageShelf {
  readonly #cloud: Cloud;
  readonly #defaults: ImageDefaults;
  readonly #dir: string;
  readonly #imagesDir: string;
  readonly #volumesDir: string;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(cloud: Cloud, dir: string, defaults: ImageDefaults) {
    this.#cloud = cloud;
    this.#defaults = defaults;
    this.#dir = resolve(dir);
    this.#imagesDir = join(this.#dir, 'images');
    this.#volumesDir = join(this.#dir, 'volumes');
  }

  /** Makes the directories. Throws a `config_invalid` CinderfsError when they cannot be made or written to. */
  async prepare(): Promise<void> {
    for (const dir of [this.#dir, this.#imagesDir, this.#volumesDir]) {
      try {
        // Not recursive: that never returns where mkdir says ENOENT for good, as below /proc.
        await mkdir(dir).catch(ignoreExisting);
        await access(dir, constants.W_OK);
      } catch (error) {
        const message = `cannot keep a cloud in ${dir}: ${reasonOf(error)}`;
        const remedy = 'Choose a --dir that this user may write to.';
        throw new CinderfsError('config_invalid', message, { path: dir, cause: error, remedy });
      }
    }
  }

  /** Where the bytes of a volume are. */
  pathOf(volumeId: string): string {
    return join(this.#volumesDir, `volume-${volumeId}`);
  }

  /**
   * Brings the images in line with DIR/images: new files become images, changed ones become a new image of the same
   * name (Glance's bytes never change), vanished ones are deleted. Files that begin with a dot or end in `.part` or
   * `.tmp` are still being written: they do not count.
   */
  scan(): Promise<void> {
    return this.#serially(async () => {
      const found = await findImageFiles(this.#imagesDir);
      for (const image of this.#cloud.images.values()) {
        const file = image.file;
        const isStale = file !== undefined && found.get(file.name)?.fingerprint !== file.fingerprint;
        if (isStale && image.status !== 'deleted') await this.#remove(image);
      }
      const known = new Set([...this.#cloud.images.values()].map((image) => image.file?.fingerprint));
      for (const file of found.values()) {
        if (!known.has(file.fingerprint)) await this.#pickUp(file);
      }
    });
  }

  /** Adds an image and its volume; resolves when both can be listed. */
  add(spec: ImageSpec, bytes: ImageBytes = {}): Promise<Image> {
    return this.#serially(() => this.#make(spec, bytes, undefined));
  }

  /** Deletes the image; its volume goes too unless it is attached. The id is never used again. */
  remove(image: Image): Promise<void> {
    return this.#serially(() => this.#remove(image));
  }

  /** Deletes the volume of a deleted image once it is no longer attached. */
  async removeOrphan(volume: Volume): Promise<void> {
    const image = this.#cloud.images.get(volume.metadata.glance_image_id ?? '');
    const isHeld = this.#cloud.attachmentsOf(volume.id).length > 0;
    if (image?.status === 'deleted' && image.volumeId === volume.id && !isHeld)
      await this.removeVolume(volume);
  }

  /** Deletes the record and the file of a volume. */
  async removeVolume(volume: Volume): Promise<void> {
    this.#cloud.volumes.delete(volume.id);
    this.#cloud.touch();
    await rm(volume.path, { force: true });
  }

  async #pickUp(file: ImageFile): Promise<void> {
    const named = await specOf(file);
    await this.#make(named, { file: file.path }, { name: file.name, fingerprint: file.fingerprint });
  }

  async #make(spec: ImageSpec, bytes: ImageBytes, origin: Image['file']): Promise<Image> {
    const id = spec.id ?? freeImageId(this.#cloud, spec.name ?? '');
    const stamp = this.#cloud.stamp();
    const measured = await measure(spec, bytes);
    const volume = volumeFor(id, spec, measured, this.#defaults, stamp);
    if (volume !== undefined) {
      volume.path = this.pathOf(volume.id);
      const isExact = (spec.volumeBytes ?? this.#defaults.volumeBytes) === 'exact';
      const length = isExact ? measured.size : volume.sizeGib * GIB;
      if (bytes.file === undefined) await writeSparse(volume.path, length, bytes.data);
      else await copySparse(bytes.file, volume.path, length);
      if (spec.volumeFormat === 'qcow2') await toQcow2(volume.path);
      this.#cloud.volumes.set(volume.id, volume);
    }
    const image = imageFor(id, spec, measured, volume, stamp, origin);
    this.#cloud.images.set(id, image);
    this.#cloud.touch();
    return image;
  }

  async #remove(image: Image): Promise<void> {
    image.status = 'deleted';
    image.updatedAt = this.#cloud.stamp();
    this.#cloud.touch();
    const volume = this.#cloud.volumes.get(image.volumeId ?? '');
    if (volume !== undefined) await this.removeOrphan(volume);
  }

  #serially<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work);
    this.#tail = result.catch(() => undefined); // the caller gets the error; the next in line does not
    return result;
  }
}

function ignoreExisting(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
}

async function measure(spec: ImageSpec, bytes: ImageBytes): Promise<Measured> {
  if (bytes.file === undefined) {
    const size = bytes.data?.byteLength ?? spec.size ?? 0;
    const digests = bytes.data === undefined ? { md5: null, sha512: null } : digestBytes(bytes.data);
    return { size, virtualSize: size, ...digests };
  }
  const { size } = await stat(bytes.file);
  const virtualSize = await virtualSizeOf(bytes.file, size);
  if (size > HASH_LIMIT) return { size, virtualSize, md5: null, sha512: null };
  return { size, virtualSize, ...(await digestFile(bytes.file)) };
}
