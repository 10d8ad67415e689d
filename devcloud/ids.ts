import { createHash, randomBytes } from 'node:crypto';

/** The same UUID for the same parts, on every machine and after every restart (name-based, as RFC 4122 v5). */
export function uuidOf(...parts: string[]): string {
  const digest = createHash('sha1').update(parts.join('\0')).digest('hex');
  const variant = ((Number.parseInt(digest.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
  return [
    digest.slice(0, 8),
    digest.slice(8, 12),
    `5${digest.slice(13, 16)}`,
    `${variant}${digest.slice(17, 20)}`,
    digest.slice(20, 32),
  ].join('-');
}

/** The same 32 hex digits for the same parts: the form of Keystone's ids. */
export function hexIdOf(...parts: string[]): string {
  return uuidOf(...parts).replaceAll('-', '');
}

/** An opaque token that looks like a fernet one, so that a log redactor meets what it would meet in production. */
export function newTokenId(): string {
  return `gAAAAAB${randomBytes(96).toString('base64url')}`;
}

const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;

/** What oslo's `uuid` format accepts. */
export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && UUID.test(value);
}
