import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { BrickConnector } from '../../../src/attach/brick/brick-connector.js';
import type { ConnectionInfo } from '../../../src/cinder/types.js';
import { NOVA_LOCKS, startConnector } from '../support/connector.js';
import { sha256Of, writeContent } from '../support/content.js';
import { CHAP, INITIATOR, iscsiInfo, startIscsi } from '../support/iscsi.js';
import { leftovers } from '../support/leftovers.js';
import { connect, pathOf, type Volume } from '../support/lifecycle.js';
import { Neighbour } from '../support/neighbour.js';
import { type Backstore, fileBackstore, IscsiTarget } from '../targets/lio.js';

const MIB = 2;
const IQN = 'iqn.2026-01.test.lab:array';
const PORTAL = '127.0.0.1:3260';
/** More in a long run: a round takes seconds, all of it emulated. */
const ROUNDS = Number(process.env.CINDERFS_VM_ROUNDS ?? 20);
/** LUN 1 is ours, 2 and 3 the neighbour's, all of one target and so of one session. */
const OURS = 1;
const THEIRS = [2, 3];

let connector: BrickConnector;
let target: IscsiTarget;
let neighbour: Neighbour;
const stores: Backstore[] = [];
const digests = new Map<number, string>();

before(async () => {
  await startIscsi();
  target = new IscsiTarget(IQN, INITIATOR, [PORTAL], CHAP);
  for (const lun of [OURS, ...THEIRS]) {
    digests.set(lun, writeContent(`/tmp/volume-${lun}`, MIB, `volume ${lun}`));
    const serial = `0000000${lun}-3333-4444-5555-666677778888`;
    const store = fileBackstore(`volume-${lun}`, `/tmp/volume-${lun}`, MIB * 2 ** 20, serial);
    stores.push(store);
    target.map(lun, store);
  }
  connector = await startConnector();
  neighbour = await Neighbour.start(NOVA_LOCKS);
});
after(() => {
  neighbour.end();
  target.remove();
  stores.forEach((store) => store.remove());
});

const connectionOf = (lun: number): ConnectionInfo => iscsiInfo({ iqn: IQN, portals: [PORTAL], lun });

describe('next to os-brick in another process, on the same target', () => {
  it(`attaches, reads and detaches ${ROUNDS} times while the neighbour does the same at random`, async () => {
    const random = randomFrom(20_261_122);
    const work = { goesOn: true };
    let theirs = 0;
    const theirLife = (async () => {
      const held = new Set<number>();
      while (work.goesOn || held.size > 0) {
        const lun = THEIRS[Math.floor(random() * THEIRS.length)] ?? 2;
        if (!work.goesOn && !held.has(lun)) continue;
        const { error, sha256 } = await neighbour.ask(held.has(lun) ? 'detach' : 'attach', connectionOf(lun));
        assert.equal(error, undefined);
        if (sha256 !== undefined) assert.equal(sha256, digests.get(lun));
        if (!held.delete(lun)) held.add(lun);
        theirs++;
      }
    })();
    const ourLife = (async () => {
      const volume: Volume = {
        id: 'ours',
        info: connectionOf(OURS),
        mib: MIB,
        digest: digests.get(OURS) ?? '',
      };
      for (let round = 0; round < ROUNDS; round++) {
        const connected = await connect(connector, volume);
        assert.equal(sha256Of(pathOf(connected), MIB), volume.digest, `round ${round}`);
        assert.equal(await connected.object(), connected.host.identity, `round ${round}`);
        await connector.disconnect(connected.host);
      }
    })();
    try {
      await ourLife;
    } finally {
      work.goesOn = false;
      await theirLife;
    }
    console.log(`# ${ROUNDS} attachments of ours beside ${theirs} steps of the neighbour`);
    assert.ok(theirs > 0);
    assert.deepEqual(leftovers(), []);
  });

  it('leaves the session to the neighbour, and the neighbour to us', async () => {
    const volume: Volume = {
      id: 'ours',
      info: connectionOf(OURS),
      mib: MIB,
      digest: digests.get(OURS) ?? '',
    };
    const first = await connect(connector, volume);
    await neighbour.ask('attach', connectionOf(2));
    await connector.disconnect(first.host);
    assert.equal((await neighbour.ask('detach', connectionOf(2))).error, undefined);
    await neighbour.ask('attach', connectionOf(2));
    const second = await connect(connector, volume);
    await neighbour.ask('detach', connectionOf(2));
    assert.equal(sha256Of(pathOf(second), MIB), volume.digest);
    await connector.disconnect(second.host);
    assert.deepEqual(leftovers(), []);
  });
});

/** Numbers in [0, 1), the same for the same seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
