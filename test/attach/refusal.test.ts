import assert from 'node:assert/strict';
import { it } from 'node:test';
import { refused } from '../../src/attach/context/refusal.js';
import { CinderfsError } from '../../src/errors.js';

it('sends nobody to a log for a request that Cinder never answered', () => {
  const unanswered = refused(new CinderfsError('http_failed', 'connect ECONNREFUSED'), 'v');
  assert.ok(CinderfsError.is(unanswered));
  assert.equal(unanswered.errno, 'EIO');
  assert.match(unanswered.remedy, /Check that Cinder answers/);
  const answered = refused(new CinderfsError('http_failed', '500', { status: 500 }), 'v');
  assert.ok(CinderfsError.is(answered));
  assert.match(answered.remedy, /request id/);
});
