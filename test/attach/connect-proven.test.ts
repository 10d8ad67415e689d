import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Connected, Connector } from '../../src/attach/connection/connector.js';
import { connectProven } from '../../src/attach/lifecycle/connect-proven.js';
import { hold } from '../../src/attach/lifecycle/live-attachment.js';
import { CinderfsError } from '../../src/errors.js';
import { AttachWorld } from '../fakes/attach-world.js';

/** Makes connections of which the first `losses` vanish while they are proven; `open` holds what was not taken down. */
function losing(losses: number): {
  connector: Connector;
  connect: () => Promise<Connected>;
  open: Set<number>;
} {
  const open = new Set<number>();
  let made = 0;
  const connect = (): Promise<Connected> => {
    const number = ++made;
    const lost = new AbortController();
    open.add(number);
    return Promise.resolve({
      source: { kind: 'file', path: '/x' },
      host: { number },
      lost: lost.signal,
      object: () => Promise.resolve(undefined),
      size: () => Promise.resolve(4),
      read: () => {
        if (number > losses) return Promise.resolve(Buffer.from('data'));
        lost.abort(new CinderfsError('connector_failed', 'it vanished'));
        return Promise.reject(new CinderfsError('connector_failed', 'it vanished'));
      },
    });
  };
  const connector: Connector = {
    name: 'losing',
    refusal: () => Promise.resolve(undefined),
    plan: () => ({}),
    connect,
    adopt: () => Promise.resolve(undefined),
    disconnect: ({ number }) => {
      open.delete(Number(number));
      return Promise.resolve();
    },
  };
  return { connector, connect, open };
}

describe('a connection that vanishes while it is proven', () => {
  for (const shared of [false, true])
    it(`is ${shared ? 'left to its other users' : 'taken down'} before the next is made`, async () => {
      const { context } = new AttachWorld();
      const { connector, connect, open } = losing(2);
      const by = shared ? { ...connector, sharesDevices: true as const } : connector;
      const record = {
        version: 1,
        volumeId: 'v1',
        imageId: 'i1',
        imageName: 'one',
        imageSize: 4,
        multiattach: true,
        step: 'connect',
        since: 0,
        before: [],
        answered: true,
      } as const;
      const held = await connectProven(async () => hold(record, by, await connect()), context);
      assert.deepEqual(held.connected.host, { number: 3 });
      assert.deepEqual([...open], shared ? [1, 2, 3] : [3]);
    });
});
