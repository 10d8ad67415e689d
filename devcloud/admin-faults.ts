import { stat } from 'node:fs/promises';

import type { ImageBytes, ImageShelf } from './image-shelf.js';
import type { ImageSpec } from './image-spec.js';
import type { Cloud, Image, ImageStatus } from './model.js';
import { ApiError } from './service.js';
import { copySparse, overwrite } from './volume-file.js';

/** What an admin, an attacker or a fault does behind a reader's back. Throws ApiError 404 for unknown ids. */
export class AdminFaults {
  readonly #cloud: Cloud;
  readonly #shelf: ImageShelf;

  constructor(cloud: Cloud, shelf: ImageShelf) {
    this.#cloud = cloud;
    this.#shelf = shelf;
  }

  /** Gone from Glance at once, attached or not; the volume goes with its last attachment. By id or name. */
  async deleteImage(image: string): Promise<void> {
    await this.#shelf.remove(this.#find(image));
  }

  /** The old image is deleted; a new one of the same name and another id takes its place. */
  async replaceImage(image: string, spec: ImageSpec, bytes: ImageBytes): Promise<Image> {
    const old = this.#find(image);
    await this.#shelf.remove(old);
    return this.#shelf.add({ name: old.name, diskFormat: old.diskFormat ?? 'raw', ...spec }, bytes);
  }

  setImageStatus(image: string, status: ImageStatus): void {
    const found = this.#find(image);
    found.status = status;
    found.updatedAt = this.#cloud.stamp();
    this.#cloud.touch();
  }

  /**
   * What Glance does after it made an image active by its locations API: attaches the volume and hashes it. False where
   * it cannot have the volume; it gives up then, and the image has no hash for ever.
   */
  finishHash(image: string, hashValue: string): boolean {
    const found = this.#find(image);
    const volume = this.#cloud.volumes.get(found.volumeId ?? '');
    const isHeld = [...this.#cloud.attachments.values()].some(({ volumeId }) => volumeId === volume?.id);
    if (volume === undefined || (isHeld && !volume.multiattach)) return false;
    found.hashValue = hashValue;
    found.updatedAt = this.#cloud.stamp();
    this.#cloud.touch();
    return true;
  }

  /** As an admin's force-detach: the attachment is gone, its reader is not told. */
  async detach(attachmentId: string): Promise<void> {
    const attachment = this.#cloud.attachments.get(attachmentId);
    const volume = this.#cloud.volumes.get(attachment?.volumeId ?? '');
    if (volume === undefined) throw new ApiError(404, `no attachment ${attachmentId}`);
    this.#cloud.step(volume, { is: 'delete', id: attachmentId });
    await this.#shelf.removeOrphan(volume);
  }

  /**
   * The LUN-reuse attack: the path of a volume serves the bytes of the file `source` from now on. In place, they
   * reach open files as well; otherwise another file takes its place and open files keep the old one.
   */
  async swapBytes(volumeId: string, source: string, inPlace: boolean): Promise<void> {
    const volume = this.#cloud.volumes.get(volumeId);
    if (volume === undefined) throw new ApiError(404, `no volume ${volumeId}`);
    if (inPlace) await overwrite(source, volume.path);
    else await copySparse(source, volume.path, (await stat(volume.path)).size);
  }

  #find(wanted: string): Image {
    const living = [...this.#cloud.images.values()].filter((image) => image.status !== 'deleted');
    const image = living.find(({ id }) => id === wanted) ?? living.find(({ name }) => name === wanted);
    if (image === undefined) throw new ApiError(404, `no image ${wanted}`);
    return image;
  }
}
