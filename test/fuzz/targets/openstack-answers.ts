/** The answers of a cloud as bytes of HTTP, for seeds. */
import { imageEntry, PROJECT, uuid, volumeEntry } from '../../support/fake-cloud.js';
import { SEPARATOR } from '../edit.js';

/** Always this one: the seeds name it. */
export const HOST = 'cloud.test';
export const PARTS = ['login', 'versions', 'images', 'volumes', 'other'] as const;
type Part = (typeof PARTS)[number];

export const head = (status: string, headers = ''): string =>
  `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nX-Openstack-Request-Id: req-1\r\n${headers}Connection: close\r\n\r\n\n`;
const endpoint = (url: string): object => ({ interface: 'public', region: 'R', region_id: 'R', url });
const LOGIN = {
  token: {
    issued_at: '2026-11-28T00:00:00.000000Z',
    expires_at: '2026-11-28T01:00:00.000000Z',
    project: { id: PROJECT, name: 'service' },
    user: { id: 'u', name: 'cinderfs' },
    roles: [{ id: 'r', name: 'service' }],
    catalog: [
      { type: 'image', name: 'glance', endpoints: [endpoint(`http://${HOST}`)] },
      { type: 'block-storage', name: 'cinder', endpoints: [endpoint(`http://${HOST}/v3`)] },
    ],
  },
};
const IMAGES = {
  images: [imageEntry(1), imageEntry(2, { locations: [{ url: `cinder://s/${uuid(7)}`, metadata: {} }] })],
  next: '/v2/images?marker=x',
};
const VOLUMES = {
  volumes: [volumeEntry(1), volumeEntry(2)],
  volumes_links: [{ rel: 'self', href: 'http://x/y?marker=z' }],
};
const OTHER = {
  volume: volumeEntry(1),
  attachment: {
    id: uuid(5),
    volume_id: uuid(6),
    status: 'attached',
    attach_mode: 'ro',
    connection_info: {
      driver_volume_type: 'iscsi',
      target_iqn: 'iqn.x',
      auth_password: 'chap-secret',
      hosts: ['a'],
    },
  },
  attachments: [
    { id: uuid(5), volume_id: uuid(6), status: 'reserved', instance: null, connection_info: null },
  ],
  volume_types: [{ name: 'multi', extra_specs: { multiattach: '<is> True' } }],
  message: 'x',
};
export const FAULT = {
  badRequest: { code: 400, message: 'Invalid input: password=\'secret-1\' key = "x" <b>no</b>' },
};

/** Each part as usual, but for `parts`. */
export function cloud(parts: Partial<Record<Part, string>>): Buffer {
  const usual: Record<Part, string> = {
    login: head('201 Created', 'X-Subject-Token: token-1\r\n') + JSON.stringify(LOGIN),
    versions: head('200 OK') + JSON.stringify({ versions: [{ id: 'v3.0', version: '3.70' }] }),
    images: head('200 OK') + JSON.stringify(IMAGES),
    volumes: head('200 OK') + JSON.stringify(VOLUMES),
    other: head('200 OK') + JSON.stringify(OTHER),
  };
  return Buffer.from(PARTS.map((part) => parts[part] ?? usual[part]).join(SEPARATOR));
}
