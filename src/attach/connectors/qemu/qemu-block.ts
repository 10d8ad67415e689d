import { type FileHandle, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { CinderfsError } from '../../../errors.js';
import { INHERITED } from '../../../sys/processes/run-command.js';
import { localPlaceOf, openPlace } from '../local/local-place.js';
import type { ConnectionInfo } from '../../../cinder/contract/attachments.js';
import { absolutePath, lunOf, shaped, secretOf, textOf } from '../../connection/backend-values.js';
import { formatOf } from '../../connection/volume-format.js';
import { type CephHost, rbdVolumeOf } from '../rbd/rbd-volume.js';

/** A QEMU block device in QEMU's own option names (qapi/block-core.json), without the secret. */
export interface QemuBlock {
  readonly options: Readonly<Record<string, unknown>>;
  /** For `--object secret,id=SECRET_ID`: goes through a file, never through argv. */
  readonly secret?: { readonly value: string; readonly format: 'raw' | 'base64' } | undefined;
  /** It needs no file of this host and no right: the network alone. */
  readonly rootless?: boolean | undefined;
  /** Opens what `options` call INHERITED; rejects with `connector_failed`. The caller closes it. */
  readonly open?: (() => Promise<FileHandle>) | undefined;
}

/** What this host contributes. */
export interface QemuHost extends CephHost {
  /** Of QEMU's own initiator. */
  readonly initiator: string;
  /** Where volumes are files of this host; default: nowhere. */
  readonly localDirectories?: readonly string[] | undefined;
  /** Holds our own mounts of shares, each a file system of its own; volumes in qcow2 are decoded there. */
  readonly shareMounts?: string | undefined;
}

export const SECRET_ID = 'cinderfs';

/** A Map: protocols come from Cinder, and an object would know `constructor`. */
const READERS = new Map<string, (info: ConnectionInfo, host: QemuHost) => Promise<readonly QemuBlock[]>>([
  ['rbd', rbdBlocks],
  ['iscsi', iscsiBlocks],
  ['nfs', nfsBlocks],
  ['local', localBlocks],
]);

/** True for a protocol that QEMU speaks in user space. */
export function qemuSpeaks(protocol: string): boolean {
  return READERS.has(protocol);
}

/**
 * The ways to open the volume, in order: one per portal. Always raw, and said so: QEMU would guess the format from the
 * content, where a guest may have written what it likes, and a format leads to other files (decoder.ts).
 */
export async function qemuBlocks(info: ConnectionInfo, host: QemuHost): Promise<readonly QemuBlock[]> {
  const reader = READERS.get(info.driver_volume_type);
  if (reader === undefined)
    throw new CinderfsError(
      'protocol_unsupported',
      `the qemu connector does not speak ${info.driver_volume_type}`,
    );
  formatOf(info);
  return (await reader(info, host)).map(({ options, ...more }) => ({
    ...more,
    options: { driver: 'raw', 'read-only': true, file: { ...options, 'read-only': true } },
  }));
}

async function rbdBlocks(info: ConnectionInfo, host: QemuHost): Promise<readonly QemuBlock[]> {
  const { pool, namespace, image, user, conf, keyring, monitors } = rbdVolumeOf(info, host);
  const key = keyring === undefined ? undefined : await keyOf(keyring);
  const options = {
    driver: 'rbd',
    pool,
    image,
    ...(namespace === undefined ? {} : { namespace }),
    ...(conf === undefined ? {} : { conf }),
    ...(user === undefined ? {} : { user }),
    ...(key === undefined ? {} : { 'key-secret': SECRET_ID }),
    ...(monitors.length === 0 ? {} : { server: monitors }),
  };
  return [{ options, secret: key === undefined ? undefined : { value: key, format: 'base64' } }];
}

function iscsiBlocks(info: ConnectionInfo, host: QemuHost): Promise<readonly QemuBlock[]> {
  const chap = info.auth_method === 'CHAP';
  const user = chap ? { user: textOf(info, 'auth_username', 'user'), 'password-secret': SECRET_ID } : {};
  const secret = chap ? { value: passwordOf(info), format: 'raw' as const } : undefined;
  const list = (key: string): readonly unknown[] =>
    Array.isArray(info[key]) ? (info[key] as unknown[]) : [];
  const [iqns, luns] = [list('target_iqns'), list('target_luns')];
  const portals = list('target_portals').length > 0 ? list('target_portals') : [info.target_portal];
  const blocks = portals.map((portal, index) => ({
    options: {
      driver: 'iscsi',
      transport: 'tcp',
      portal: shaped(portal, 'target_portal', 'portal'),
      target: shaped(iqns[index] ?? info.target_iqn, 'target_iqn', 'iqn'),
      lun: lunOf(luns[index] ?? info.target_lun),
      'initiator-name': host.initiator,
      ...user,
    },
    secret,
    rootless: true,
  }));
  return Promise.resolve(blocks);
}

function passwordOf(info: ConnectionInfo): string {
  const password = secretOf(info, 'auth_password');
  if (password !== undefined) return password;
  throw new CinderfsError('connector_failed', 'Cinder asks for CHAP without giving a password');
}

function nfsBlocks(info: ConnectionInfo): Promise<readonly QemuBlock[]> {
  const share = textOf(info, 'export', 'export');
  const name = textOf(info, 'name', 'file_name');
  const split = share.lastIndexOf(':/');
  const host = share.slice(0, split).replace(/^\[|\]$/g, '');
  const path = `${share.slice(split + 1).replace(/\/+$/, '')}/${name}`;
  return Promise.resolve([{ options: { driver: 'nfs', server: { type: 'inet', host }, path } }]);
}

async function localBlocks(
  info: ConnectionInfo,
  { localDirectories = [], shareMounts }: QemuHost,
): Promise<readonly QemuBlock[]> {
  const named = absolutePath(info.device_path, 'device_path');
  const share = shareMounts === undefined ? undefined : shareAbove(named, shareMounts);
  const directories = share === undefined ? localDirectories : [share];
  const place = await localPlaceOf(named, directories);
  const driver = place.beneath === undefined ? 'host_device' : 'file';
  // By its descriptor: the name may lead elsewhere by the time QEMU opens it.
  return [{ options: { driver, filename: INHERITED }, open: () => openPlace(place) }];
}

/** The mount in `directory` that the path is in. */
function shareAbove(file: string, directory: string): string | undefined {
  const [name = '', ...below] = relative(directory, file).split('/');
  return name === '' || name === '..' || below.length === 0 ? undefined : join(directory, name);
}

/** The cephx key: since OSSN-0085 it is never in connection_info. Left to librados where the keyring is not readable. */
async function keyOf(keyring: string): Promise<string | undefined> {
  const text = await readFile(keyring, 'utf8').catch(() => '');
  return /^\s*key\s*=\s*([A-Za-z0-9+/=]+)\s*$/m.exec(text)?.[1];
}
