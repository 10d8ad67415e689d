import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, describe, it, type TestContext } from 'node:test';
import type { BrickConnector } from '../../../src/attach/brick/brick-connector.js';
import { eventually } from '../../support/eventually.js';
import { startConnector } from '../support/connector.js';
import { writeContent } from '../support/content.js';
import { sha256By } from '../support/hash-process.js';
import { CHAP, INITIATOR, iscsiInfo, quickSessions, startIscsi } from '../support/iscsi.js';
import { leftovers } from '../support/leftovers.js';
import type { Volume } from '../support/lifecycle.js';
import { READ_TIMEOUT_MS, Stack } from '../support/stack.js';
import { type Backstore, fileBackstore, IscsiTarget } from '../targets/lio.js';

const MIB = 8;
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
  connector = await startConnector();
});
after(() => {
  target.remove();
  store.remove();
  foreign.remove();
});

/** Mounted with a volume that lingers for minutes: what happens to it meanwhile is the test's. */
async function mounted(test: TestContext): Promise<Stack> {
  const stack = await Stack.mount(connector, [volume], 600_000);
  test.after(async () => {
    await stack.pool.drain({ deadlineMs: 120_000 });
    await stack.unmount();
    assert.deepEqual(leftovers(), []);
  });
  assert.equal(await sha256By(stack.fileOf(volume)), volume.digest);
  return stack;
}

describe('an image over one iSCSI path', () => {
  it('never shows a byte of another volume that took its address (CVE-2023-2088)', async (test) => {
    const stack = await mounted(test);
    target.unmap(1);
    target.map(1, foreign);
    dropCaches();
    const seen = await sha256By(stack.fileOf(volume)).catch((error: unknown) => String(error));
    assert.match(seen, /Stale file handle|Input\/output error|timed out/i);
    target.unmap(1);
    target.map(1, store);
    await eventually('a fresh attach serves it again', async () => {
      const digest = await sha256By(stack.fileOf(volume)).catch(() => undefined);
      if (digest !== undefined) assert.equal(digest, volume.digest);
      return digest;
    });
  });

  it('answers with an errno in time when its path is gone, and recovers when it is back', async (test) => {
    const stack = await mounted(test);
    target.removePortal(PORTAL);
    dropCaches();
    const started = performance.now();
    const seen = await sha256By(stack.fileOf(volume)).catch((error: unknown) => String(error));
    const took = performance.now() - started;
    assert.match(seen, /Input\/output error|timed out|Stale file handle/i);
    assert.ok(took < READ_TIMEOUT_MS + 30_000, `${took} ms`);
    console.log(`# ${seen} after ${Math.round(took)} ms`);
    target.addPortal(PORTAL);
    await eventually(
      'it is read again',
      async () => {
        const digest = await sha256By(stack.fileOf(volume)).catch(() => undefined);
        return digest === volume.digest ? true : undefined;
      },
      120_000,
    );
  });
});

/** What was read before may be read again without the volume: not what these tests ask. */
function dropCaches(): void {
  writeFileSync('/proc/sys/vm/drop_caches', '1');
}
