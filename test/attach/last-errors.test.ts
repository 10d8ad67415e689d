import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { failureLine } from '../../src/attach/lifecycle/last-errors.js';
import { CinderfsError } from '../../src/errors.js';
import { AttachWorld } from '../fakes/attach-world.js';
import { settle } from '../fakes/manual-clock.js';

describe('the last error of an image', () => {
  it('names the errno, what failed, the request at the bottom of it and the first cause', () => {
    const gone = new CinderfsError('not_found', 'no attachment', { requestId: 'req-7' });
    const cause = new CinderfsError('http_failed', 'the backend said no', { cause: gone });
    const line = failureLine(
      new CinderfsError('read_failed', 'cannot read 4096 bytes', { image: 'i1', cause }),
    );
    assert.match(line, /^EIO: cannot read 4096 bytes \(image i1, request req-7\)/);
    assert.match(line, /\[read_failed\] Cause: not found\.$/);
  });

  it('has no word of a service or a driver', () => {
    const secret = 'iscsiadm -n node.session.auth.password -v CHAP-HUNTER2 on 10.1.2.3';
    const driver = new CinderfsError('http_failed', `POST /attachments answered 500: ${secret}`, {
      requestId: 'req-8',
      remedy: secret,
    });
    for (const code of ['attach_refused', 'connector_failed', 'attachment_lost', 'detach_failed'] as const) {
      const line = failureLine(
        new CinderfsError(code, secret, { volume: 'v1', remedy: secret, cause: driver }),
      );
      assert.doesNotMatch(line, /HUNTER2|iscsiadm|10\.1\.2\.3/, code);
      assert.match(line, /^E\w+: .*\(volume v1, request req-8\).*\[\w+\]/);
    }
    const wrapped = new CinderfsError('read_failed', 'cannot read', { cause: new Error(secret) });
    assert.doesNotMatch(failureLine(wrapped), /HUNTER2/);
  });

  it('is that of a read as well as that of an open, until an open succeeds or the image is gone', async () => {
    const world = new AttachWorld();
    const image = world.addImage('v1');
    const lease = await world.pool.acquire(image);
    world.pool.readFailed(image.id, new CinderfsError('read_timeout', 'the source did not answer'));
    assert.match(world.pool.lastError(image.id) ?? '', /^ETIMEDOUT: the source did not answer/);
    assert.match(world.pool.report()[0]?.lastError ?? '', /^ETIMEDOUT: /);
    assert.equal(world.pool.figures().counters.read_failures, 1);
    (await world.pool.acquire(image)).release();
    assert.equal(world.pool.lastError(image.id), undefined);
    world.pool.readFailed(image.id, new CinderfsError('read_failed', 'again'));
    lease.release({ evict: true });
    await settle();
    world.pool.keepErrorsOf(new Map());
    assert.deepEqual(world.pool.lastErrors(), []);
  });
});
