import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { eventually } from '../support/eventually.js';
import type { Undo } from '../support/undo.js';
import { Rest } from './rest.js';

export interface OwnImage {
  readonly id: string;
  readonly name: string;
  readonly size: number;
  readonly volumeId: string;
  readonly hashAlgorithm: string;
  readonly hashValue: string;
}

interface Spec {
  readonly name: string;
  readonly diskFormat: string;
  /** A local file. */
  readonly source: string;
}

/** Images of the test's own on the real OpenStack. They and their volumes are gone when the test is over. */
export class OwnImages {
  readonly #undo: Undo;
  readonly #admin: Rest;
  /** Of the image volumes. */
  readonly #owner: Rest;

  private constructor(undo: Undo, admin: Rest, owner: Rest) {
    this.#undo = undo;
    this.#admin = admin;
    this.#owner = owner;
  }

  static async connect(undo: Undo): Promise<OwnImages> {
    return new OwnImages(undo, await Rest.login('admin', 'admin'), await Rest.login('glance', 'service'));
  }

  /** The same cloud, for images that are gone earlier. */
  static sharing(images: OwnImages, undo: Undo): OwnImages {
    return new OwnImages(undo, images.#admin, images.#owner);
  }

  /** Glance writes it, through its Cinder store of that name, and hashes it. */
  async upload(store: string, spec: Spec): Promise<OwnImage> {
    const id = await this.#create(spec);
    await this.#admin.glance('PUT', `/images/${id}/file`, {
      body: await readFile(spec.source),
      headers: { 'content-type': 'application/octet-stream', 'x-image-meta-store': store },
    });
    return this.show(id);
  }

  /**
   * What Glance's Cinder store does, from outside: a volume that Cinder makes, filled by `write`, registered with the
   * hash of `source`.
   */
  async register(
    { volumeType, store }: { readonly volumeType: string; readonly store: string },
    spec: Spec,
    write: (volumeId: string) => Promise<unknown>,
  ): Promise<OwnImage> {
    const id = await this.#create(spec);
    const bytes = await readFile(spec.source);
    const volumeId = await this.#volume(volumeType, `image-${id}`, {
      glance_image_id: id,
      image_size: String(bytes.length),
      image_owner: this.#admin.project,
    });
    await write(volumeId);
    const hash = (algorithm: string): string => createHash(algorithm).update(bytes).digest('hex');
    await this.#admin.glance('PATCH', `/images/${id}`, {
      body: [
        {
          op: 'add',
          path: '/locations/-',
          value: {
            url: `cinder://${store}/${volumeId}`,
            metadata: { store },
            validation_data: {
              checksum: hash('md5'),
              os_hash_algo: 'sha512',
              os_hash_value: hash('sha512'),
            },
          },
        },
      ],
      headers: { 'content-type': 'application/openstack-images-v2.1-json-patch' },
    });
    return this.show(id);
  }

  /** An active image, as Glance knows it. */
  async show(id: string): Promise<OwnImage> {
    const { body } = await this.#admin.glance('GET', `/images/${id}`);
    assert.equal(body.status, 'active', `image ${id}`);
    return {
      id,
      name: String(body.name),
      size: Number(body.size),
      volumeId: String(body.direct_url).split('/').at(-1) ?? '',
      hashAlgorithm: String(body.os_hash_algo),
      hashValue: String(body.os_hash_value),
    };
  }

  /** Attachments of a volume, whoever has them. */
  async attachments(volumeId: string): Promise<readonly unknown[]> {
    const { body } = await this.#owner.cinder('GET', `/attachments?volume_id=${volumeId}`);
    return body.attachments as readonly unknown[];
  }

  /** A snapshot of a volume, which Cinder keeps until `undo`; its id. */
  async snapshot(volumeId: string, undo: Undo): Promise<string> {
    const { body } = await this.#owner.cinder('POST', '/snapshots', {
      body: { snapshot: { volume_id: volumeId, name: 'test' } },
    });
    const { id } = body.snapshot as { id: string };
    const statusOf = async (): Promise<string | undefined> => {
      const answer = await this.#owner.cinder('GET', `/snapshots/${id}`);
      return answer.status === 404 ? undefined : (answer.body.snapshot as { status: string }).status;
    };
    undo.after(async () => {
      await this.#owner.cinder('DELETE', `/snapshots/${id}`);
      await eventually(`snapshot ${id} is deleted`, async () => {
        const status = await statusOf();
        assert.notEqual(status, 'error_deleting', `snapshot ${id}`);
        return status === undefined ? true : undefined;
      });
    });
    await eventually(`snapshot ${id} is available`, async () => {
      const status = await statusOf();
      assert.notEqual(status, 'error', `snapshot ${id}`);
      return status === 'available' ? true : undefined;
    });
    return id;
  }

  async #create({ name, diskFormat }: Spec): Promise<string> {
    const { body } = await this.#admin.glance('POST', '/images', {
      body: { name, disk_format: diskFormat, container_format: 'bare', visibility: 'public' },
    });
    const id = String(body.id);
    this.#undo.after(() => this.#delete(id));
    return id;
  }

  async #volume(type: string, name: string, metadata: Readonly<Record<string, string>>): Promise<string> {
    const { body } = await this.#owner.cinder('POST', '/volumes', {
      body: { volume: { name, size: 1, volume_type: type, metadata } },
    });
    const { id } = body.volume as { id: string };
    this.#undo.after(() => this.#deleteVolume(id));
    await eventually(`volume ${id} is available`, async () => {
      const status = await this.#statusOf(id);
      assert.notEqual(status, 'error', `volume ${id}`);
      return status === 'available' ? true : undefined;
    });
    return id;
  }

  async #delete(id: string): Promise<void> {
    const { body } = await this.#admin.glance('GET', `/images/${id}`);
    await this.#admin.glance('DELETE', `/images/${id}`);
    const location = body.direct_url as string | undefined;
    const volumeId = location?.split('/').at(-1);
    if (volumeId !== undefined) await this.#deleteVolume(volumeId);
  }

  /** Glance deletes the volumes of its images, Cinder later: this waits for it, and deletes what Glance left. */
  async #deleteVolume(id: string): Promise<void> {
    const status = await this.#statusOf(id);
    if (status !== undefined && status !== 'deleting') await this.#owner.cinder('DELETE', `/volumes/${id}`);
    await eventually(`volume ${id} is deleted`, async () =>
      (await this.#statusOf(id)) === undefined ? true : undefined,
    );
  }

  async #statusOf(id: string): Promise<string | undefined> {
    const { status, body } = await this.#owner.cinder('GET', `/volumes/${id}`);
    return status === 404 ? undefined : (body.volume as { status: string }).status;
  }
}
