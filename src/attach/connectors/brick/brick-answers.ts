/** What cinderfs-brick answers: JSON on its stdout. It repeats what disks, targets and os-brick say, so it is judged here. */
import type { ConnectorProperties } from '../../../cinder/contract/attachments.js';
import { CinderfsError, type ErrorCode } from '../../../errors.js';
import type { BrickDevice } from './brick-identity.js';

/** Errors of cinderfs-brick that are not `connector_failed`, and what to do about those that are. */
const CODES = new Map<string, ErrorCode>([
  ['os_brick_missing', 'connector_missing'],
  ['protocol_unknown', 'protocol_unsupported'],
  ['identity_differs', 'identity_mismatch'],
]);
const REMEDIES = new Map([
  ['os_brick_missing', 'Install the package python3-os-brick.'],
  ['no_multipath', 'Install and start multipath-tools, or switch enforce_multipath off.'],
  ['no_initiator', 'This host has no Fibre Channel adapter that is online.'],
  [
    'busy',
    'Another service attaches or detaches a volume on this host; see which process holds the lock file.',
  ],
  ['in_use', 'Stop the program that has the device open; the removal is tried again.'],
  [
    'left_behind',
    'See `multipath -ll`, `iscsiadm -m session` and `nvme list-subsys`; the removal is tried again.',
  ],
]);

const ID = /^(?:naa|eui|t10|name|serial|uuid|nguid|dm)\./;
/** Identifiers of one device, and characters of one text of an answer: far more than any standard allows. */
const MOST_IDS = 256;
const MOST_PATHS = 1024;
const LONGEST = 1024;
const LONGEST_MESSAGE = 1024;

/** The answer to a step that succeeded. `connector_failed` where it is not JSON. */
export function answerIn(stdout: string): unknown {
  try {
    return JSON.parse(stdout) as unknown;
  } catch (cause) {
    throw new CinderfsError('connector_failed', 'the answer of cinderfs-brick is not JSON', { cause });
  }
}

/** What cinderfs-brick itself said of a failure; undefined where it said nothing. */
export function refusalIn(stdout: string): CinderfsError | undefined {
  if (!stdout.startsWith('{"error"')) return undefined;
  const { code, message } = failureIn(stdout);
  if (code === undefined || message === undefined)
    return new CinderfsError('connector_failed', 'cinderfs-brick failed, and its reason cannot be read');
  return new CinderfsError(
    CODES.get(code) ?? 'connector_failed',
    `os-brick: ${message.slice(0, LONGEST_MESSAGE)}`,
    { remedy: REMEDIES.get(code), cause: { code } },
  );
}

function failureIn(stdout: string): { readonly code?: string; readonly message?: string } {
  try {
    const { error } = JSON.parse(stdout) as { readonly error: unknown };
    const { code, message } = Object(error) as Record<string, unknown>;
    return isText(code) && typeof message === 'string' ? { code, message } : {};
  } catch {
    return {};
  }
}

/** The device of `connect` and `check`. `connector_failed` where the answer is none. */
export function deviceIn(answer: unknown): BrickDevice {
  const { path, size, diskseq, paths, ids } = Object(answer) as Record<string, unknown>;
  if (!isText(path) || !path.startsWith('/')) throw noAnswer('path');
  if (!Number.isSafeInteger(size) || (size as number) < 0) throw noAnswer('size');
  // A kernel before 5.15 does not number its disks.
  if (diskseq !== '' && !isText(diskseq)) throw noAnswer('diskseq');
  if (!isList(paths, MOST_PATHS)) throw noAnswer('paths');
  if (!isList(ids, MOST_IDS) || !ids.every((id) => ID.test(id))) throw noAnswer('ids');
  return { path, size: size as number, diskseq, paths, ids };
}

/** What this host tells Cinder about itself, of `connector`. `connector_failed` where the answer is none. */
export function propertiesIn(answer: unknown): ConnectorProperties {
  const properties = Object(answer) as Record<string, unknown>;
  for (const key of ['host', 'ip', 'platform', 'os_type'])
    if (typeof properties[key] !== 'string') throw noAnswer(key);
  if (typeof properties.multipath !== 'boolean') throw noAnswer('multipath');
  return properties as ConnectorProperties;
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= LONGEST;
}

function isList(value: unknown, most: number): value is readonly string[] {
  return Array.isArray(value) && value.length <= most && value.every(isText);
}

function noAnswer(field: string): CinderfsError {
  return new CinderfsError('connector_failed', `the answer of cinderfs-brick has no usable ${field}`);
}
