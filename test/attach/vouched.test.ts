/** Which files a header may lead to: what Cinder lists as snapshots of the volume, and only what can be a snapshot. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SnapshotChain } from '../../src/attach/connectors/qemu/snapshot-chain.js';
import type { AttachmentRecord } from '../../src/attach/journal/record.js';
import { vouchedFor } from '../../src/attach/lifecycle/vouched.js';
import type { ConnectionInfo } from '../../src/cinder/contract/attachments.js';
import type { Snapshot } from '../../src/cinder/contract/volumes.js';
import { snapshotsOf } from '../../src/cinder/volumes/snapshots.js';
import { CinderfsError } from '../../src/errors.js';
import { qcow2, withBackingFormat } from '../head/crafted-images.js';

const VOLUME = '1e035fa6-7d97-400f-aa2d-cea1d44e4461';
const CLONE = '22222222-7d97-400f-aa2d-cea1d44e4462';
const BASE = `volume-${VOLUME}`;
const uuid = (n: number): string => `2f1c7b7e-0f5c-4d0a-9d57-${String(n).padStart(12, '0')}`;
const HASH = { algorithm: 'sha512', value: '00' };
const RECORD: AttachmentRecord = {
  version: 1,
  volumeId: VOLUME,
  imageId: 'image',
  imageName: 'image',
  imageSize: 100,
  hash: HASH,
  multiattach: false,
  step: 'connect',
  since: 0,
  before: [],
  answered: true,
};
const OVERLAY = { driver_volume_type: 'nfs', name: `${BASE}.${uuid(1)}`, format: 'qcow2' };

interface Asked {
  readonly info?: ConnectionInfo;
  readonly record?: Partial<AttachmentRecord>;
  readonly verifyLimit?: number;
}

/** What is vouched for where Cinder answers with `entries`, and the volumes that it was asked about. */
async function vouched(
  entries: readonly unknown[],
  { info = OVERLAY, record, verifyLimit = 100 }: Asked = {},
) {
  const asked: string[] = [];
  const request = () =>
    Promise.resolve({ status: 200, body: { snapshots: entries }, requestId: 'req-1', bytes: 1 });
  const endpoint = { request, isAdmin: () => Promise.resolve(true) };
  const snapshots = (id: string): Promise<readonly Snapshot[]> => {
    asked.push(id);
    return snapshotsOf(endpoint as unknown as Parameters<typeof snapshotsOf>[0], id, 1000);
  };
  const context = { volumes: { snapshots }, verifyLimit } as unknown as Parameters<typeof vouchedFor>[2];
  return { asked, answer: await vouchedFor({ ...RECORD, ...record }, info, context) };
}

const entry = (id: unknown, volume: unknown = VOLUME) => ({ id, volume_id: volume, status: 'available' });

describe('what is vouched for', () => {
  it('are all snapshots that Cinder lists of the volume, in whatever state', async () => {
    const entries = [entry(uuid(1)), { ...entry(uuid(2)), status: 'error_deleting' }, entry(uuid(1))];
    const { asked, answer } = await vouched(entries);
    assert.deepEqual(answer, { snapshots: [uuid(1), uuid(2)], compared: true });
    assert.deepEqual(asked, [VOLUME]);
  });

  it('are those of the clone where the image is read through one', async () => {
    const clone = { volumeId: CLONE, name: 'clone', answered: true };
    const entries = [entry(uuid(1)), entry(uuid(2), CLONE)];
    const { asked, answer } = await vouched(entries, { record: { clone } });
    assert.deepEqual(asked, [CLONE]);
    assert.deepEqual(answer.snapshots, [uuid(2)]);
  });

  it('is nothing where the file is all of its volume, and Cinder is not asked', async () => {
    for (const info of [
      { ...OVERLAY, name: BASE },
      { ...OVERLAY, name: BASE, format: 'raw' },
      { driver_volume_type: 'rbd', name: `volumes/${OVERLAY.name}` },
    ])
      assert.deepEqual(await vouched([entry(uuid(1))], { info }), { asked: [], answer: {} });
  });

  it('is compared only where there is a hash, of a kind that this host computes, of an image that is read whole', async () => {
    const compared = async (asked: Asked): Promise<unknown> => (await vouched([], asked)).answer.compared;
    assert.equal(await compared({}), true);
    assert.equal(await compared({ verifyLimit: 99 }), false);
    assert.equal(await compared({ record: { hash: undefined } }), false);
    assert.equal(await compared({ record: { hash: { ...HASH, algorithm: 'sha-of-nowhere' } } }), false);
  });

  it('is unknown where Cinder does not answer: the attach fails, and is not one without snapshots', async () => {
    const failure = new CinderfsError('http_timeout', 'no answer in time');
    const volumes = { snapshots: () => Promise.reject(failure) };
    const context = { volumes, verifyLimit: 100 } as unknown as Parameters<typeof vouchedFor>[2];
    await assert.rejects(vouchedFor(RECORD, OVERLAY, context), { code: 'attach_timeout' });
  });
});

describe('an id that Cinder lists', () => {
  const other = '7d2f1c1c-51d0-4c83-a3a4-6e0d9c4f3b11';
  const hostile: Record<string, unknown> = {
    'a slash': '/',
    'two dots': '..',
    'a path that climbs': '../../etc/shadow',
    'an absolute path': '/etc/shadow',
    'a path after an id': `${uuid(2)}/../x`,
    NUL: '\0',
    'NUL after an id': `${uuid(2)}\0`,
    'a line after an id': `${uuid(2)}\n`,
    '255 bytes': 'a'.repeat(255),
    '5000 bytes': 'a'.repeat(5000),
    'an id in capitals': uuid(2).replace('f1c', 'F1C'),
    nothing: '',
    'a number': 7,
    'a list with an id': [uuid(2)],
    'a property of every object': 'constructor',
  };
  const listings: Record<string, object> = {
    ...Object.fromEntries(Object.entries(hostile).map(([what, id]) => [what, entry(id)])),
    "another volume's snapshot": entry(uuid(2), other),
    'a snapshot of no volume': { id: uuid(2), status: 'available' },
    'a snapshot of a list of volumes': entry(uuid(2), [VOLUME]),
  };

  /** Whether a header that names the file of `id` is followed. */
  const follows = async (listed: object, id: string): Promise<boolean> => {
    const { answer } = await vouched([entry(uuid(1)), listed]);
    const chain = new SnapshotChain({ info: OVERLAY, ...answer });
    const name = `${BASE}.${id}`.slice(0, 400);
    return chain.extend(withBackingFormat(qcow2({ backing: name, bytes: 4096 }), 'qcow2'));
  };

  it('is followed where it is a snapshot of the volume', async () => {
    assert.equal(await follows(entry(uuid(2)), uuid(2)), true);
  });

  for (const [what, listed] of Object.entries(listings))
    it(`is nothing where it is ${what}`, async () => {
      const { answer } = await vouched([entry(uuid(1)), listed]);
      assert.deepEqual(answer.snapshots, [uuid(1)]);
      const { id } = listed as { readonly id: unknown };
      await assert.rejects(follows(listed, String(id)), { code: 'volume_unsafe' });
    });
});
