/** Reads JSON that others wrote: nothing of it is believed before it is checked. */
import { CinderfsError } from '../../errors.js';

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function optionalText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** A whole number that is exact in a double and not negative; undefined for anything else. */
export function optionalSize(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** A time in ISO 8601; one without zone, as Cinder writes it, is UTC. Undefined if it is none. */
export function optionalDate(value: unknown): Date | undefined {
  if (typeof value !== 'string' || value === '') return undefined;
  const date = new Date(/(Z|[+-]\d\d:?\d\d)$/.test(value) ? value : `${value}Z`);
  return Number.isNaN(date.getTime()) ? undefined : date;
}

/** A field of an answer that must be there; `http_failed` names what the service left out. */
export function member(body: unknown, key: string, answer: AnswerName): unknown {
  const value = isRecord(body) ? body[key] : undefined;
  if (value === undefined) throw malformed(answer, `has no '${key}'`);
  return value;
}

export function requiredText(value: unknown, key: string, answer: AnswerName): string {
  return optionalText(value) ?? fail(answer, `has no text in '${key}'`);
}

export function requiredList(value: unknown, key: string, answer: AnswerName): readonly unknown[] {
  return Array.isArray(value) ? value : fail(answer, `has no list in '${key}'`);
}

export interface AnswerName {
  /** "Cinder's answer to GET /volumes/detail". */
  readonly what: string;
  readonly requestId: string;
}

export function malformed({ what, requestId }: AnswerName, fault: string): CinderfsError {
  return new CinderfsError('http_failed', `${what} ${fault}`, { requestId });
}

function fail(answer: AnswerName, fault: string): never {
  throw malformed(answer, fault);
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** True for a UUID as OpenStack writes it: lower case, with dashes. Anything else could be a path. */
export function isUuid(value: unknown): value is string {
  return typeof value === 'string' && UUID.test(value);
}
