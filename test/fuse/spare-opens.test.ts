/** Opens that workers answer: what the kernel, the journal and the file system are told of them, in every order. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import type { OpenFile } from '../../src/fs/contract/filesystem.js';
import { Backings } from '../../src/fs/fuse/files/backings.js';
import { Descriptors } from '../../src/fs/fuse/files/descriptors.js';
import { OpenFiles } from '../../src/fs/fuse/files/open-files.js';
import type { Opened } from '../../src/fs/fuse/files/opened.js';
import { HandleQuota } from '../../src/fs/fuse/files/handle-quota.js';
import { RESENT } from '../../src/fs/fuse/protocol/opcodes.js';
import { OpenJournal } from '../../src/fs/fuse/recovery/open-journal.js';
import { readOpenRecords } from '../../src/fs/fuse/recovery/open-record.js';
import { FEW, OpenState, SharedOpens, SPARES } from '../../src/fs/fuse/shared/shared-opens.js';
import { HandleState } from '../../src/fs/fuse/shared/shared-handles.js';
import { type OpenOutcome, WorkerOpens } from '../../src/fs/fuse/worker/opens.js';
import { silentLog } from '../../src/log.js';
import { MountSources } from '../../src/sources/mount-sources.js';
import { sourceKinds } from '../../src/sources/registry.js';
import { temporaryFolder } from '../support/temporary.js';

const NODE = 77;
const UID = 1000;
const LIMIT = 100;

interface Scene {
  readonly files: OpenFiles;
  readonly opens: SharedOpens;
  readonly quota: HandleQuota;
  readonly journal: OpenJournal;
  readonly fence: AbortController;
  /** Milliseconds of the uptime. */
  now: number;
  /** What the kernel does with the answer to an open. */
  taken: boolean;
  /** What the worker told and the main thread has not heard yet. */
  readonly told: { slot: number; outcome: OpenOutcome }[];
  /** Files that were released. */
  readonly released: number[];
  /** Opened by the main thread. */
  open(unique: bigint): Promise<Opened>;
  /** OPEN at a worker; the `fh` that the kernel was told, undefined when the main thread is asked. */
  openAtWorker(unique: bigint, flags?: number, uid?: number): number | undefined;
  /** The main thread hears what it was told. */
  hear(): void;
  close(fh: number): void;
  /** What the engine after this one would find open. */
  noted(): readonly { readonly fh: number; readonly unique: bigint }[];
}

async function scene(t: TestContext): Promise<Scene> {
  const folder = await temporaryFolder(t);
  const image = path.join(folder, 'image');
  writeFileSync(image, 'bytes of the image');
  const journalFile = path.join(folder, 'open-files');
  const journal = await OpenJournal.open(journalFile, { fresh: true });
  const quota = new HandleQuota(LIMIT);
  const fence = new AbortController();
  const files = new OpenFiles({
    descriptors: new Descriptors(new MountSources(sourceKinds(), 1)),
    backings: new Backings(undefined, silentLog),
    onFenced: () => undefined,
    quota,
    journal,
    clock: { uptime: () => world.now },
  });
  const opens = new SharedOpens(files.opens);
  let handles = 0;
  let given: number | undefined;
  const release = (file: OpenFile | undefined): void => {
    if (file !== undefined) world.released.push(file.handle);
  };
  const worker = new WorkerOpens({
    workerId: 3,
    opens,
    uptime: () => world.now,
    replies: {
      sendOpened: (_, fh) => {
        given = fh;
        return world.taken;
      },
    },
    tell: (slot, outcome) => world.told.push({ slot, outcome }),
  });
  const world: Scene = {
    ...{ files, opens, quota, journal, fence, now: 5000, taken: true, told: [], released: [] },
    async open(unique) {
      quota.take(UID);
      handles += 1;
      const file: OpenFile = {
        ...{ handle: handles, node: NODE, size: 5, fenced: fence.signal, memo: { image: 'i' } },
        source: { kind: 'file', path: image },
      };
      const opened = await files.add(file, unique, UID);
      files.expectMore(opened);
      return opened;
    },
    openAtWorker(unique, flags = 0, uid = UID) {
      given = undefined;
      return worker.serve({ node: NODE, uid, unique }, flags) ? given : undefined;
    },
    hear() {
      for (const { slot, outcome } of world.told.splice(0)) release(files.told(slot, outcome));
    },
    close: (fh) => release(files.remove(fh)),
    noted: () =>
      readOpenRecords(journalFile).records.map(({ fh, unique }) => ({ fh, unique: BigInt(unique) })),
  };
  t.after(() => {
    for (const fh of files.numbers()) world.close(fh);
    journal.remove();
  });
  return world;
}

/** Two opens by one user: the third is expected. */
async function expecting(t: TestContext): Promise<Scene & { first: Opened; second: Opened }> {
  const world = await scene(t);
  const first = await world.open(2n);
  const second = await world.open(4n);
  return Object.assign(world, { first, second });
}

describe('an open that a worker answers', () => {
  it('is prepared for who has the image open twice, and for nobody else', async (t) => {
    const world = await scene(t);
    await world.open(2n);
    assert.equal(world.openAtWorker(100n), undefined);
    await world.open(4n);
    assert.equal(world.openAtWorker(102n, 0, 0), undefined);
    assert.equal(world.openAtWorker(104n, 2 /* O_RDWR */), undefined);
    assert.equal(world.openAtWorker(106n | RESENT), undefined);
    assert.notEqual(world.openAtWorker(108n), undefined);
  });

  it('is in the journal before it is answered, as the open that it is', async (t) => {
    const world = await expecting(t);
    const before = world.noted().length;
    const fh = world.openAtWorker(2n ** 62n + 2n);
    assert.ok(fh !== undefined);
    assert.equal(world.noted().length, before + 1);
    assert.deepEqual(world.noted().at(-1), { fh, unique: 2n ** 62n + 2n });
  });

  it('is open for whatever comes next, though its worker has told nothing', async (t) => {
    const world = await expecting(t);
    const fh = world.openAtWorker(6n) ?? 0;
    assert.deepEqual(world.told, []);
    assert.equal(world.files.shared.state(fh), HandleState.inline);
    assert.equal(world.files.get(fh)?.file, world.first.file);
    assert.equal(world.quota.of(UID), 3);
    world.close(fh);
    assert.equal(world.files.shared.state(fh), HandleState.free);
    assert.equal(world.quota.of(UID), 2);
    assert.deepEqual(world.released, []);
  });

  it('keeps the file that it shares, and its lease, until it is closed as well', async (t) => {
    const world = await expecting(t);
    const fh = world.openAtWorker(6n) ?? 0;
    world.close(world.second.fh);
    assert.deepEqual(world.released, [2]);
    world.close(world.first.fh);
    assert.deepEqual(world.released, [2], 'the file of the first is still open');
    world.close(fh);
    assert.deepEqual(world.released, [2, 1]);
    assert.deepEqual(world.noted(), []);
    assert.equal(world.quota.of(UID), 0);
  });

  it('keeps the file while its worker has it in hand', async (t) => {
    const world = await expecting(t);
    const slot = world.opens.take(3, { node: NODE, uid: UID, unique: 6n }, world.now);
    assert.ok(slot !== undefined);
    world.close(world.second.fh);
    world.close(world.first.fh);
    assert.deepEqual(world.released, [2]);
    world.told.push({ slot, outcome: 'failed' });
    world.hear();
    assert.deepEqual(world.released, [2, 1]);
    assert.deepEqual(world.noted(), []);
  });

  it('that nobody waited for is undone', async (t) => {
    const world = await expecting(t);
    world.taken = false;
    const fh = world.openAtWorker(6n) ?? 0;
    world.hear();
    assert.equal(world.files.get(fh), undefined);
    assert.equal(
      world.noted().some((one) => one.fh === fh),
      false,
    );
    assert.equal(world.quota.of(UID), 2);
    // Also where the main thread met it as open before it heard.
    const other = world.openAtWorker(8n) ?? 0;
    assert.notEqual(world.files.get(other), undefined);
    world.hear();
    assert.equal(world.files.get(other), undefined);
    assert.equal(world.quota.of(UID), 2);
  });

  it('is prepared anew when few are left, and ends with its time', async (t) => {
    const world = await expecting(t);
    const ready = (): number =>
      Array.from({ length: world.opens.slots }, (_, slot) => world.opens.state(slot)).filter(
        (state) => state === OpenState.ready,
      ).length;
    assert.equal(ready(), SPARES);
    for (let count = 0; count < SPARES - FEW; count += 1)
      assert.notEqual(world.openAtWorker(BigInt(10 + count)), undefined);
    assert.equal(ready(), FEW);
    world.hear();
    assert.equal(ready(), SPARES);
    world.now += 1000;
    assert.equal(world.openAtWorker(40n), undefined);
  });

  it('is not there once opens are to be asked for, or the file is fenced', async (t) => {
    const world = await expecting(t);
    const slot = world.opens.take(3, { node: NODE, uid: UID, unique: 6n }, world.now) ?? -1;
    world.files.expectNoMore();
    assert.equal(world.openAtWorker(8n), undefined);
    await world.open(10n);
    const open = world.openAtWorker(12n) ?? 0;
    world.fence.abort(new Error('another volume'));
    assert.equal(world.openAtWorker(14n), undefined);
    assert.equal(world.files.shared.state(open), HandleState.fenced);
    // What was in hand of a worker when it was fenced.
    const { fh } = world.opens.give(slot);
    assert.equal(world.files.shared.state(fh), HandleState.fenced);
    assert.notEqual(world.files.get(fh), undefined);
    world.opens.opened(slot, { node: NODE, uid: UID, unique: 6n }, world.now);
  });

  it('survives that the journal is written anew', async (t) => {
    const world = await expecting(t);
    const fh = world.openAtWorker(6n) ?? 0;
    world.journal.rewrite();
    assert.deepEqual(
      world
        .noted()
        .map((one) => one.fh)
        .sort(),
      [world.first.fh, world.second.fh, fh].sort(),
    );
    assert.equal(world.openAtWorker(8n), undefined, 'what was reserved is void');
    await world.open(10n);
    const later = world.openAtWorker(12n);
    assert.ok(world.noted().some((one) => one.fh === later && one.unique === 12n));
  });

  it('of a worker that died is open, and whoever waits is to be answered', async (t) => {
    const world = await expecting(t);
    const slot = world.opens.take(3, { node: NODE, uid: UID, unique: 6n }, world.now);
    assert.ok(slot !== undefined);
    assert.deepEqual(world.files.abandoned(2), []);
    const abandoned = world.files.abandoned(3);
    assert.deepEqual(
      abandoned.map(({ unique }) => unique),
      [6n],
    );
    const left = abandoned[0]?.opened.fh ?? 0;
    assert.ok(world.noted().some(({ fh, unique }) => fh === left && unique === 6n));
    world.close(left);
    assert.equal(world.noted().length, 2);
  });

  it('does not go beyond what a user may have open', async (t) => {
    const world = await expecting(t);
    world.files.expectNoMore();
    while (world.quota.allows(UID)) world.quota.take(UID);
    world.files.expectMore(world.second);
    assert.equal(world.openAtWorker(6n), undefined);
  });
});
