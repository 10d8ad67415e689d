import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { BrickConnector } from '../../../src/attach/connectors/brick/brick-connector.js';
import type { ConnectionInfo } from '../../../src/cinder/contract/attachments.js';
import { PosixClient } from '../../conformance/posix-client.js';
import { eventually } from '../../support/eventually.js';
import type { Random } from '../../support/random.js';
import { Undo } from '../../support/undo.js';
import { NOVA_LOCKS, startConnector } from '../support/connector.js';
import { blockOf, writeContent } from '../support/content.js';
import { CHAP, INITIATOR, iscsiInfo, startIscsi } from '../support/iscsi.js';
import { Neighbour } from '../support/neighbour.js';
import { Stack } from '../support/stack.js';
import { type Backstore, fileBackstore, IscsiTarget } from '../targets/lio.js';
import { randomFor } from '../../support/seeds.js';

const MIB = 2;
const MiB = 2 ** 20;
const OUR_VOLUME = 'volume-1';
const HOST = { host: 'guest', ip: '127.0.0.1', platform: 'x86_64', os_type: 'linux', multipath: false };
const IQN = 'iqn.2026-01.test.lab:array';
const PORTAL = '127.0.0.1:3260';
/** Short, so that our own detaches come between theirs. */
const LINGER_MS = 300;
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

/** The neighbour's life: attaches and detaches volumes of the target at random, ours among them, as nova does it. */
class TheirLife {
  /** What is attached is detached, and that is all. */
  stopped = false;
  over = false;
  readonly #cinder: Stack['cinder'];
  readonly #random: Random;
  /** LUN -> the attachment in Cinder. */
  readonly #held = new Map<number, string>();

  constructor(cinder: Stack['cinder'], random: Random) {
    this.#cinder = cinder;
    this.#random = random;
  }

  async run(steps: number): Promise<void> {
    for (let step = 0; step < steps && !this.stopped; step++) {
      await this.#step(this.#random.pick([OURS, ...THEIRS]));
      if ((step + 1) % 10 === 0) console.log(`# ${step + 1} steps`);
    }
    for (const lun of [...this.#held.keys()]) await this.#step(lun);
  }

  async #step(lun: number): Promise<void> {
    const attachment = this.#held.get(lun);
    if (attachment === undefined) {
      this.#held.set(lun, await this.#reserve(lun));
      const { error, sha256 } = await neighbour.ask('attach', connectionOf(lun));
      assert.equal(error, undefined, `attaching ${lun}`);
      assert.equal(sha256, digests.get(lun));
    } else {
      const { error, sha256 } = await neighbour.ask('detach', connectionOf(lun));
      assert.equal(error, undefined, `detaching ${lun}`);
      assert.equal(sha256, digests.get(lun), 'it was there all the time');
      this.#held.delete(lun);
      await this.#cinder.delete(attachment);
    }
  }

  /** Cinder knows the volumes that are images here. Another host, or our own mount, may be attaching: like nova, wait. */
  async #reserve(lun: number): Promise<string> {
    if (lun !== OURS) return '';
    const { id } = await eventually('the volume can be reserved', () =>
      this.#cinder.create(OUR_VOLUME).catch(() => undefined),
    );
    await this.#cinder.update(id, { ...HOST, mountpoint: '/dev/vdb' });
    await this.#cinder.complete(id);
    return id;
  }
}

describe('next to os-brick in another process, on the same target', () => {
  it(`reads on through ${ROUNDS} steps of a neighbour that has the same volume and others`, async (test) => {
    const undo = new Undo(test);
    const digest = digests.get(OURS) ?? '';
    const ours = { id: OUR_VOLUME, info: connectionOf(OURS), mib: MIB, digest };
    const stack = await Stack.mount(connector, [ours], LINGER_MS);
    undo.after(() => stack.unmount());
    const client = new PosixClient();
    undo.after(() => client.close());
    const random = randomFor(test, 20_261_122);
    const path = stack.fileOf({ id: OUR_VOLUME });
    const theirs = new TheirLife(stack.cinder, random);
    const theirLife = theirs.run(ROUNDS).finally(() => (theirs.over = true));
    theirLife.catch(() => undefined); // judged below, or when the test is undone
    undo.after(() => {
      theirs.stopped = true;
      return theirLife;
    });
    let [opens, reads, slowest] = [0, 0, 0];
    // Opens and closes as well: a volume that nobody reads is detached a moment later.
    while (!theirs.over) {
      const fd = await client.call<number>('open', path);
      opens++;
      for (let left = random.whole(0, 7); left >= 0; left--) {
        const mib = random.whole(0, MIB - 1);
        const started = performance.now();
        await client.call('forget', fd);
        const bytes = await client.bytes('pread', fd, mib * MiB, MiB);
        slowest = Math.max(slowest, performance.now() - started);
        assert.ok(bytes.equals(blockOf(`volume ${OURS}`, mib)), `read ${reads}`);
        reads++;
      }
      await client.call('close', fd);
    }
    await theirLife;
    const { reconnects } = stack.pool.figures()?.counters ?? { reconnects: 0 };
    console.log(
      `# ${ROUNDS} steps of the neighbour beside ${opens} opens and ${reads} reads of ours; ${reconnects} times connected again, the slowest read took ${Math.round(slowest)} ms`,
    );
    await stack.quiet();
  });
});
