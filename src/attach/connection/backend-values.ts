/** Values from Cinder before they become part of a command or a path. A user that can write to Cinder's database must not become root here. */
import { posix } from 'node:path';
import { CinderfsError } from '../../errors.js';
import type { ConnectionInfo } from '../../cinder/contract/attachments.js';
import { Secret } from '../../secret.js';

const HOST = String.raw`(?:\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9][A-Za-z0-9.-]*)`;

/** The shapes that are let through; everything else is `connector_failed`. */
export const SHAPES = {
  ceph_name: /^[A-Za-z0-9_][A-Za-z0-9_.+-]*$/,
  user: /^[A-Za-z0-9_][A-Za-z0-9_.@+-]*$/,
  iqn: /^(?:iqn|eui|naa)\.[A-Za-z0-9.:_-]+$/,
  portal: new RegExp(`^${HOST}:[0-9]{1,5}$`),
  host: new RegExp(`^${HOST}$`),
  port: /^[0-9]{1,5}$/,
  export: new RegExp(`^${HOST}:/[^\\0\\n]*$`),
  file_name: /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/,
} as const;

/** `info[key]` as text of the given shape. */
export function textOf(info: ConnectionInfo, key: string, shape: keyof typeof SHAPES): string {
  return shaped(info[key], key, shape);
}

/** What a secret of connection_info says; undefined where there is none. For the one place that hands it on. */
export function secretOf(info: ConnectionInfo, key: string): string | undefined {
  const value = info[key];
  const text = value instanceof Secret ? value.reveal() : value;
  return typeof text === 'string' && text !== '' ? text : undefined;
}

export function shaped(value: unknown, key: string, shape: keyof typeof SHAPES): string {
  const text = typeof value === 'number' ? String(value) : value;
  if (typeof text === 'string' && SHAPES[shape].test(text) && !text.includes('..')) return text;
  throw new CinderfsError('connector_failed', `connection_info.${key} is not a ${shape.replace('_', ' ')}`);
}

/** A LUN: 0 to 16383. */
export function lunOf(value: unknown): number {
  const lun = Number(value);
  if (Number.isInteger(lun) && lun >= 0 && lun < 16_384) return lun;
  throw new CinderfsError('connector_failed', 'connection_info.target_lun is not a LUN');
}

/** An absolute path that says what it means: no `..`, no doubled slash, no NUL. */
export function absolutePath(value: unknown, key: string): string {
  if (
    typeof value === 'string' &&
    posix.isAbsolute(value) &&
    posix.normalize(value) === value &&
    !value.includes('\0')
  )
    return value;
  throw new CinderfsError('connector_failed', `connection_info.${key} is not an absolute path`);
}
