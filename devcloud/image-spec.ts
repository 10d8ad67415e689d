/** What a request may say about an image, and the records (image, volume) that follow from it. */

import { PROJECTS, projectBy, USERS, type Project } from './identity.js';
import { uuidOf } from './ids.js';
import { isObject } from './json.js';
import type { Cloud, Image, ImageStatus, Visibility, Volume } from './model.js';
import { GIB } from './volume-file.js';
import type { VolumeStatus } from './volume-state.js';

/** Every field of a sidecar `NAME.json`, of `addImage` and of `POST /_devcloud/images`. All are optional. */
export interface ImageSpec {
  readonly id?: string;
  /** What Glance shows, any characters; default: the file's name without its extension. */
  readonly name?: string | null;
  /** What Glance claims, in bytes; default: the true size. Without data it makes an image of that many zeros. */
  readonly size?: number | null;
  readonly diskFormat?: string;
  readonly containerFormat?: string;
  readonly status?: ImageStatus;
  readonly visibility?: Visibility;
  readonly hidden?: boolean;
  readonly protected?: boolean;
  /** Project names: of the image (default admin) and of its volume (default service). */
  readonly owner?: string;
  readonly project?: string;
  readonly multiattach?: boolean;
  /** Glance store; `file` means it is not in Cinder at all. Default: `cinder-multi` or `cinder`. */
  readonly store?: string;
  /** `store` (default): `cinder://<store>/<volume>`; `bare`: `cinder://<volume>`. */
  readonly location?: 'store' | 'bare';
  /** `cinder`: registered by Cinder: bare location, no image_size metadata, no hash, size of the whole volume. */
  readonly uploadedBy?: 'glance' | 'cinder';
  /** Length of the volume's file: whole GiB (default) or exactly the image. */
  readonly volumeBytes?: 'gib' | 'exact';
  /**
   * As on NFS, where a volume is a file in a format of its own: GET /attachments tells it, PUT tells what the content
   * looks like. `qcow2` keeps the image inside of a qcow2 file. Default: no format is told.
   */
  readonly volumeFormat?: 'raw' | 'qcow2';
  /** Its type is encrypted. Default false. */
  readonly encrypted?: boolean;
  readonly volumeStatus?: VolumeStatus;
  /** The volume's read-only flag, as Glance sets it. Default true. */
  readonly readonly?: boolean;
  readonly checksum?: string | null;
  readonly hashAlgorithm?: string | null;
  readonly hashValue?: string | null;
  readonly tags?: readonly string[];
  readonly properties?: Readonly<Record<string, string>>;
}

/** What is measured on the bytes themselves. */
export interface Measured {
  readonly size: number;
  readonly virtualSize: number | null;
  readonly md5: string | null;
  readonly sha512: string | null;
}

/** Defaults of the cloud, overridable per image. */
export interface ImageDefaults {
  readonly multiattach: boolean;
  readonly volumeBytes: 'gib' | 'exact';
}

/** Volume types by name: what `GET /types` lists and where Glance's stores put their volumes. */
export const VOLUME_TYPES = {
  local: { store: 'cinder', multiattach: false },
  'local-multi': { store: 'cinder-multi', multiattach: true },
} as const;

/** The spec in a sidecar or request body. Only its shape is checked: values are used as they are, strange or not. */
export function parseImageSpec(text: string): ImageSpec {
  const parsed: unknown = JSON.parse(text);
  if (!isObject(parsed)) throw new TypeError('an image spec is a JSON object');
  return parsed;
}

/** The first id for this name that no image has, living or deleted: the same after a restart from nothing. */
export function freeImageId(cloud: Cloud, name: string): string {
  for (let generation = 0; ; generation += 1) {
    const id = uuidOf('image', name, String(generation));
    if (!cloud.images.has(id)) return id;
  }
}

/** The volume of an image, or undefined when its store is not Cinder. */
export function volumeFor(
  imageId: string,
  spec: ImageSpec,
  measured: Measured,
  defaults: ImageDefaults,
  stamp: number,
): Volume | undefined {
  if (spec.store === 'file') return undefined;
  const id = uuidOf('volume', imageId);
  const multiattach = spec.multiattach ?? defaults.multiattach;
  const byCinder = spec.uploadedBy === 'cinder';
  const owner = projectNamed(spec.owner, PROJECTS.admin).id;
  const metadata: Record<string, string> = {
    glance_image_id: imageId,
    ...(byCinder ? {} : { image_size: String(measured.size) }),
    image_owner: owner,
  };
  return {
    id,
    name: `image-${imageId}`,
    status: spec.volumeStatus ?? 'available',
    sizeGib: Math.max(1, Math.ceil(measured.size / GIB)),
    typeName: multiattach ? 'local-multi' : 'local',
    multiattach,
    projectId: projectNamed(spec.project, PROJECTS.service).id,
    userId: USERS.cinderfs.id,
    metadata,
    readonly: spec.readonly ?? true,
    format: spec.volumeFormat,
    encrypted: spec.encrypted ?? false,
    sourceVolid: null,
    bootable: false,
    path: '', // the shelf says where
    createdAt: stamp,
    updatedAt: stamp,
  };
}

/** The image record. `volume` as volumeFor made it; `origin` names the file it was found in, if any. */
export function imageFor(
  id: string,
  spec: ImageSpec,
  measured: Measured,
  volume: Volume | undefined,
  stamp: number,
  origin: Image['file'],
): Image {
  const seen = spec.uploadedBy === 'cinder' && volume !== undefined ? asRegisteredByCinder(volume) : measured;
  const claimed = { ...DEFAULT_CLAIMS, size: seen.size, ...hashesOf(seen), ...definedOnly(spec) };
  return {
    id,
    name: claimed.name,
    status: claimed.status,
    size: claimed.size,
    virtualSize: seen.virtualSize,
    diskFormat: claimed.diskFormat,
    containerFormat: claimed.containerFormat,
    visibility: claimed.visibility,
    hidden: claimed.hidden,
    protected: claimed.protected,
    owner: projectNamed(spec.owner, PROJECTS.admin).id,
    checksum: claimed.checksum,
    hashAlgorithm: claimed.hashAlgorithm,
    hashValue: claimed.hashValue,
    locations: spec.status === 'queued' ? [] : [locationOf(id, spec, volume)],
    tags: claimed.tags,
    properties: claimed.properties,
    createdAt: stamp,
    updatedAt: stamp,
    volumeId: volume?.id,
    file: origin,
  };
}

const DEFAULT_CLAIMS = {
  name: null,
  status: 'active',
  diskFormat: 'raw',
  containerFormat: 'bare',
  visibility: 'public',
  hidden: false,
  protected: false,
  tags: [],
  properties: {},
} satisfies ImageSpec;

/** Cinder registers the whole volume and has no hash of it. */
function asRegisteredByCinder(volume: Volume): Measured {
  return { size: volume.sizeGib * GIB, virtualSize: null, md5: null, sha512: null };
}

function hashesOf({
  md5,
  sha512,
}: Measured): Required<Pick<ImageSpec, 'checksum' | 'hashAlgorithm' | 'hashValue'>> {
  return { checksum: md5, hashAlgorithm: sha512 === null ? null : 'sha512', hashValue: sha512 };
}

/** A spec built by spreading optional values may hold undefined; that says nothing. */
function definedOnly(spec: ImageSpec): ImageSpec {
  return Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined));
}

function locationOf(
  imageId: string,
  spec: ImageSpec,
  volume: Volume | undefined,
): Image['locations'][number] {
  if (volume === undefined) {
    return { url: `file:///var/lib/glance/images/${imageId}`, metadata: { store: 'file' } };
  }
  const store = spec.store ?? (volume.multiattach ? 'cinder-multi' : 'cinder');
  const isBare = spec.location === 'bare' || spec.uploadedBy === 'cinder';
  return { url: isBare ? `cinder://${volume.id}` : `cinder://${store}/${volume.id}`, metadata: { store } };
}

function projectNamed(name: string | undefined, otherwise: Project): Project {
  if (name === undefined) return otherwise;
  return projectBy({ id: name, name }) ?? { id: name, name };
}
