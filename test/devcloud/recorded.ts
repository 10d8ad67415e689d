/** Compares the double's answers with answers recorded from Keystone 22, Glance 25 and Cinder 21. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

import { isObject } from '../../devcloud/json.js';
import type { Answer } from './client.js';

interface Recorded {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

// Compiled tests run from dist/; the fixtures stay where they are.
const FIXTURES = new URL('../../../test/fixtures/recorded-answers.json', import.meta.url);
const recordings = JSON.parse(readFileSync(FIXTURES, 'utf8')) as Record<string, Recorded>;

/** Same status, same headers, same fields of the same types. */
export function assertSameShape(answer: Answer, name: string): void {
  const recorded = assertSameEnvelope(answer, name);
  assertShape(answer.body, recorded.body ?? '', name);
}

/** The same and the very same words; ids and addresses may differ. */
export function assertSameWords(answer: Answer, name: string): void {
  const recorded = assertSameEnvelope(answer, name);
  assert.deepEqual(withoutIds(answer.body), recorded.body ?? '', name);
}

function assertSameEnvelope(answer: Answer, name: string): Recorded {
  const recorded = recordings[name];
  assert.ok(recorded !== undefined, `nothing recorded as ${name}`);
  assert.equal(answer.status, recorded.status, `${name}: ${JSON.stringify(answer.body)}`);
  for (const [header, value] of Object.entries(recorded.headers)) {
    const actual = answer.headers.get(header);
    assert.notEqual(actual, null, `${name}: header ${header} is missing`);
    if (value !== '*')
      assert.equal(withoutPort(actual ?? ''), withoutPort(value), `${name}: header ${header}`);
  }
  return recorded;
}

/** devstack's layout puts a prefix behind the address, the recorded lab had one port per service. */
function withoutPort(text: string): string {
  return text.replace(/http:\/\/127\.0\.0\.1:\d+\/(identity|image|volume)/, '<url>');
}

function assertShape(actual: unknown, recorded: unknown, where: string): void {
  if (recorded === null || actual === null) return; // null stands for any type that was not set
  if (Array.isArray(recorded)) {
    assert.ok(Array.isArray(actual), `${where} is not a list`);
    if (recorded.length > 0 && actual.length > 0) assertShape(actual[0], recorded[0], `${where}[0]`);
    return;
  }
  assert.equal(typeof actual, typeof recorded, where);
  if (!isObject(recorded) || !isObject(actual)) return;
  // What a driver or a store says about itself is its own business.
  if (/connection_info$|properties$|extra_specs$/.test(where)) return;
  assert.deepEqual(Object.keys(actual).toSorted(), Object.keys(recorded).toSorted(), where);
  for (const [key, value] of Object.entries(recorded)) assertShape(actual[key], value, `${where}.${key}`);
}

const IDS = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b/g;

function withoutIds(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value).replaceAll(IDS, '<id>')) as unknown;
}
