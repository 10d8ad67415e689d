import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { reasonOf } from '../../src/errors.js';
import { assertProperty } from '../support/seeds.js';

describe('the reason of what was thrown', () => {
  it('is the message of an error, and its name when it has none', () => {
    assert.equal(reasonOf(new Error('disk is gone')), 'disk is gone');
    assert.equal(reasonOf(new TypeError()), 'TypeError');
  });

  it('is the message of a plain object: what another process said in JSON', () => {
    assert.equal(reasonOf({ code: 'in_use', message: 'device is\n busy' }), 'device is busy');
  });

  it('is the code where a plain object has no message', () => {
    assert.equal(reasonOf({ code: 'disk_gone' }), 'disk_gone');
  });

  it('is never "[object Object]", one line, and does not throw, whatever was thrown', () => {
    assertProperty(
      fc.property(fc.anything({ withNullPrototype: true, withBigInt: true }), (thrown) => {
        const reason = reasonOf(thrown);
        assert.ok(!reason.includes('[object Object]') || JSON.stringify(thrown).includes('[object Object]'));
        assert.doesNotMatch(reason, /[\n\r\t]/);
      }),
      { verbose: fc.VerbosityLevel.Verbose },
    );
  });
});
