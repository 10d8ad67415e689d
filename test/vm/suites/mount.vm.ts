import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { BrickConnector } from '../../../src/attach/connectors/brick/brick-connector.js';
import { PosixClient, PosixError } from '../../conformance/posix-client.js';
import { eventually } from '../../support/eventually.js';
import { startConnector } from '../support/connector.js';
import { blockOf, writeContent } from '../support/content.js';
import { Undo } from '../../support/undo.js';
import { sha256By } from '../support/hash-process.js';
import { CHAP, INITIATOR, iscsiInfo, quickSessions, startIscsi } from '../support/iscsi.js';
import { leftovers } from '../support/leftovers.js';
import type { Volume } from '../support/lifecycle.js';
import { READ_TIMEOUT_MS, Stack } from '../support/stack.js';
import { type Backstore, fileBackstore, IscsiTarget } from '../targets/lio.js';

const MIB = 8;
const MiB = 2 ** 20;
/** A busy machine emulates slowly: nothing here is about speed, but for the read deadline. */
const PATIENCE_MS = 300_000;
const IQN = 'iqn.2026-01.test.lab:array';
const PORTAL = '127.0.0.1:3260';

let connector: BrickConnector;
let target: IscsiTarget;
let store: Backstore;
let foreign: Backstore;
let volume: Volume;

before(async () => {
  quickSessions();
  await startIscsi();
  const digest = writeContent('/tmp/volume-1', MIB, 'volume 1');
  writeContent('/tmp/foreign', MIB, 'somebody else');
  store = fileBackstore('volume-1', '/tmp/volume-1', MIB * 2 ** 20, '11112222-3333-4444-5555-666677778888');
  foreign = fileBackstore('foreign', '/tmp/foreign', MIB * 2 ** 20, 'ffffffff-3333-4444-5555-666677778888');
  target = new IscsiTarget(IQN, INITIATOR, [PORTAL], CHAP);
  target.map(1, store);
  const info = iscsiInfo({ iqn: IQN, portals: [PORTAL], lun: 1 });
  volume = { id: 'volume-1', info, mib: MIB, digest };
  connector = await startConnector({ askMs: 5_000 });
});
after(() => {
  target.remove();
  store.remove();
  foreign.remove();
});

/** Mounted with a volume that lingers for minutes: what happens to it meanwhile is the test's. */
async function mounted(undo: Undo): Promise<Stack> {
  const stack = await Stack.mount(connector, [volume], 600_000);
  undo.after(async () => {
    await stack.pool.drain({ deadlineMs: 120_000 });
    await stack.unmount();
    assert.deepEqual(leftovers(), []);
  });
  assert.equal(await sha256By(stack.fileOf(volume)), volume.digest);
  return stack;
}

/** Opens the image in another process; what it reads there comes from the volume, not from a cache. */
async function opened(undo: Undo, stack: Stack): Promise<(mib: number) => Promise<string>> {
  const client = new PosixClient();
  undo.after(() => client.close());
  const fd = await client.call<number>('open', stack.fileOf(volume));
  return async (mib) => {
    await client.call('forget', fd);
    const bytes = await client.bytes('pread', fd, mib * MiB, MiB).catch((error: unknown) => error);
    if (bytes instanceof PosixError) return bytes.code;
    assert.ok(Buffer.isBuffer(bytes), String(bytes));
    if (bytes.equals(blockOf('volume 1', mib))) return 'ours';
    return bytes.equals(blockOf('somebody else', mib)) ? 'foreign' : 'neither';
  };
}

/** Another volume takes the address of ours. Says so. */
function swap(): true {
  target.unmap(1);
  target.map(1, foreign);
  return true;
}

/** Our volume is back at its address, and a fresh attach serves it. */
async function servedAgain(stack: Stack): Promise<void> {
  target.unmap(1);
  target.map(1, store);
  await eventually(
    'a fresh attach serves it again',
    async () => {
      const digest = await sha256By(stack.fileOf(volume)).catch(() => undefined);
      if (digest !== undefined) assert.equal(digest, volume.digest);
      return digest;
    },
    PATIENCE_MS,
  );
}

describe('an image over one iSCSI path', () => {
  it('never shows a byte of another volume that took its address (CVE-2023-2088)', async (test) => {
    const undo = new Undo(test);
    const stack = await mounted(undo);
    swap();
    const read = await opened(undo, stack).catch((error: unknown) => error);
    assert.ok(read instanceof PosixError, 'a file whose volume was swapped cannot be opened');
    await servedAgain(stack);
  });

  it('shows a reader no byte of another volume that takes its address under an open file', async (test) => {
    const undo = new Undo(test);
    const stack = await mounted(undo);
    const read = await opened(undo, stack);
    const seen: string[] = [];
    let swapped = false;
    const reading = (async () => {
      // Reads are under way while it happens; the page cache keeps none of them.
      while (seen.at(-1) === undefined || seen.at(-1) === 'ours') {
        if (seen.length === 2) swapped = swap();
        seen.push(await read(seen.length % MIB));
      }
    })();
    await reading;
    assert.ok(swapped);
    assert.deepEqual(new Set(seen), new Set(['ours', 'ESTALE']), seen.join(' '));
    assert.ok(stack.unproven > 0, 'the worker that read it did not hand it on');
    assert.equal(await read(2), 'ESTALE', 'for good');
    await servedAgain(stack);
  });

  it('takes a file away that nobody reads, too', async (test) => {
    const undo = new Undo(test);
    const stack = await mounted(undo);
    const client = new PosixClient();
    undo.after(() => client.close());
    const fd = await client.call<number>('open', stack.fileOf(volume));
    // Pages in memory are right, and served as long as the file is.
    const look = (): Promise<unknown> => client.bytes('pread', fd, 0, 4096).catch((error: unknown) => error);
    assert.ok(Buffer.isBuffer(await look()));
    swap();
    const started = performance.now();
    await eventually(
      'the file is fenced',
      async () => ((await look()) instanceof PosixError ? true : undefined),
      PATIENCE_MS,
    );
    console.log(`# fenced after ${Math.round(performance.now() - started)} ms`);
    await servedAgain(stack);
  });

  it('answers a reader with an errno in time when its path is gone, and reads on when it is back', async (test) => {
    const undo = new Undo(test);
    const stack = await mounted(undo);
    const read = await opened(undo, stack);
    assert.equal(await read(1), 'ours');
    target.removePortal(PORTAL);
    const started = performance.now();
    const seen = await read(2);
    const took = performance.now() - started;
    assert.match(seen, /^E(?:IO|TIMEDOUT|STALE)$/);
    assert.ok(took < READ_TIMEOUT_MS + 5_000, `${took} ms`);
    console.log(`# ${seen} after ${Math.round(took)} ms`);
    target.addPortal(PORTAL);
    await eventually(
      'the same file is read on',
      async () => ((await read(3)) === 'ours' ? true : undefined),
      PATIENCE_MS,
    );
  });

  it('is opened again once its path is back', async (test) => {
    const undo = new Undo(test);
    const stack = await mounted(undo);
    target.removePortal(PORTAL);
    const failed = await opened(undo, stack).catch((error: unknown) => error);
    assert.ok(failed instanceof PosixError, 'what cannot be proven cannot be opened');
    target.addPortal(PORTAL);
    await eventually(
      'a fresh attach serves it',
      async () => {
        const digest = await sha256By(stack.fileOf(volume)).catch(() => undefined);
        return digest === volume.digest ? true : undefined;
      },
      PATIENCE_MS,
    );
  });
});
