import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { createImageFs } from '../../../src/fs/create-image-fs.js';
import { buildImageTree, nodeIdOf } from '../../../src/fs/tree/image-tree.js';
import { ROOT_NODE } from '../../../src/fs/contract/filesystem.js';
import { Backings } from '../../../src/fs/fuse/files/backings.js';
import { Descriptors } from '../../../src/fs/fuse/files/descriptors.js';
import { DirectorySnapshots } from '../../../src/fs/fuse/operations/directory-snapshots.js';
import type { DirectoryStream } from '../../../src/fs/fuse/operations/directory-stream.js';
import { Dispatcher } from '../../../src/fs/fuse/operations/dispatcher.js';
import { RestoredFiles } from '../../../src/fs/fuse/files/restored-files.js';
import { HandleQuota } from '../../../src/fs/fuse/files/handle-quota.js';
import { KnownNodes } from '../../../src/fs/fuse/operations/known-nodes.js';
import * as wire from '../../../src/fs/fuse/protocol/messages.js';
import { agree, decodeOffer, encodeAgreement } from '../../../src/fs/fuse/protocol/negotiation.js';
import { OpenFiles } from '../../../src/fs/fuse/files/open-files.js';
import { MAX_READ, Opcode } from '../../../src/fs/fuse/protocol/opcodes.js';
import { decodeRequest } from '../../../src/fs/fuse/protocol/request.js';
import { handleNumber } from '../../../src/fs/fuse/shared/shared-handles.js';
import { MountSources } from '../../../src/sources/mount-sources.js';
import { sourceKinds } from '../../../src/sources/registry.js';
import { FakeCatalog, fakeImage } from '../../fakes/fs-catalog.js';
import { FakePool } from '../../fakes/fs-pool.js';
import { ManualClock } from '../../fakes/manual-clock.js';
import { MemoryKernel } from '../../fakes/memory-kernel.js';
import { temporaryFolder } from '../../support/temporary.js';
import type { Undo } from '../../support/undo.js';
import { SEPARATOR } from '../edit.js';
import { attempt, watchedLog, type Target } from '../target.js';

const ID = 'aaaaaaaa-0000-4000-8000-000000000001';
const image = fakeImage({ id: ID, name: 'debian/12', size: 90_000 });
/** What else is in the volume. */
const BEHIND = 'OF ANOTHER TENANT';
/** As the kernel learns them by LOOKUP and OPEN: seeds must name what there is. */
const NODE = nodeOf(ID);
const BY_NAME = nodeOf('by-name');
const FH = handleNumber(1, 1);
let unique = 0n;

function nodeOf(name: string): number {
  const snapshot = new FakeCatalog([image]).snapshot;
  const entry = buildImageTree(snapshot, { uid: 0, gid: 0, fileMode: 0o440 }).root.children.get(name);
  if (entry === undefined) throw new Error(`nothing is called ${name}`);
  return nodeIdOf(entry);
}

function request(opcode: number, node: number, ...body: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat(body);
  unique += 2n;
  const len = wire.IN_HEADER.size + bytes.length;
  return Buffer.concat([wire.IN_HEADER.encode({ len, opcode, unique, nodeid: node }), bytes]);
}

const named = (name: string): Buffer => Buffer.from(`${name}\0`);
const together = (...requests: readonly Buffer[]): Buffer => {
  const separator = Buffer.from(SEPARATOR);
  return Buffer.concat(requests.flatMap((bytes, at) => (at === 0 ? [bytes] : [separator, bytes])));
};

/** What the kernel sends, and what it would not: requests, one after the other. */
export const fuse: Target = {
  name: 'fuse',
  seeds: seeds(),
  words: [SEPARATOR, `${ID}\0`, 'by-name\0', '.\0', '..\0', '.cinderfs\0', 'user.cinderfs.state\0'],
  repair: (input) => together(...split(input).map(withLength)),
  open,
};

function seeds(): readonly Buffer[] {
  const size = wire.GETXATTR_IN.encode({ size: 4096 });
  const read = (fh: number): Buffer => wire.READ_IN.encode({ fh, size: 4096 });
  const init = wire.INIT_IN.encode({
    major: 7,
    minor: 45,
    max_readahead: 131_072,
    flags: 2 ** 32 - 1,
    flags2: 255,
  });
  const release = wire.RELEASE_IN.encode({ fh: 1 });
  return [
    together(
      request(Opcode.LOOKUP, ROOT_NODE, named(ID)),
      request(Opcode.OPEN, NODE, wire.OPEN_IN.encode({})),
      request(Opcode.READ, NODE, read(FH)),
      request(Opcode.LSEEK, NODE, wire.LSEEK_IN.encode({ fh: FH, whence: 3 })),
      request(Opcode.RELEASE, NODE, wire.RELEASE_IN.encode({ fh: FH })),
      request(Opcode.FORGET, NODE, wire.FORGET_IN.encode({ nlookup: 1 })),
    ),
    together(
      request(Opcode.LOOKUP, ROOT_NODE, named('by-name')),
      request(Opcode.LOOKUP, BY_NAME, named('debian%2F12')),
      request(Opcode.OPENDIR, ROOT_NODE, wire.OPEN_IN.encode({})),
      request(Opcode.READDIRPLUS, ROOT_NODE, read(1)),
      request(Opcode.READDIR, ROOT_NODE, read(1)),
      request(Opcode.RELEASEDIR, ROOT_NODE, release),
    ),
    together(
      request(Opcode.GETXATTR, NODE, size, named('user.cinderfs.state')),
      request(Opcode.LISTXATTR, NODE, size),
      request(Opcode.GETATTR, NODE, Buffer.alloc(16)),
      request(Opcode.STATFS, ROOT_NODE),
      request(Opcode.ACCESS, 2, Buffer.alloc(8)),
      request(Opcode.SETATTR, 2, Buffer.alloc(88)),
    ),
    together(
      request(Opcode.INIT, 0, init),
      request(Opcode.INTERRUPT, 0, wire.INTERRUPT_IN.encode({ unique: 2n })),
      request(
        Opcode.BATCH_FORGET,
        0,
        wire.BATCH_FORGET_IN.encode({ count: 2 }),
        wire.FORGET_ONE.encode({ nodeid: NODE, nlookup: 1 }),
        wire.FORGET_ONE.encode({ nodeid: 3, nlookup: 1 }),
      ),
      request(Opcode.IOCTL, 2, Buffer.alloc(32)),
      request(Opcode.DESTROY, 0),
    ),
  ];
}

function split(input: Buffer): readonly Buffer[] {
  return input
    .toString('latin1')
    .split(SEPARATOR)
    .map((part) => Buffer.from(part, 'latin1'));
}

function withLength(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  if (copy.length >= 4) copy.writeUInt32LE(copy.length, 0);
  return copy;
}

/** For the disk of this host to answer, however busy it is. */
const DISK_MS = 5_000;

async function open(undo: Undo): Promise<(input: Buffer) => Promise<void>> {
  const file = path.join(await temporaryFolder(undo), 'volume');
  writeFileSync(file, Buffer.concat([Buffer.alloc(image.size, 'image'), Buffer.alloc(10_000, BEHIND)]));
  return async (input) => {
    const world = engine(file);
    const requests = split(input);
    for (const bytes of requests) {
      negotiated(bytes);
      world.dispatcher.dispatch(bytes);
      // Some requests come while others wait, most when they were answered.
      for (let turns = 0; turns < 100 && world.dispatcher.pending > 0; turns += 1) await turn();
    }
    world.dispatcher.abandon();
    // What waits for the disk of this host is waited for; nothing else is there to wait for.
    for (const end = performance.now() + DISK_MS; world.dispatcher.pending > 0 && performance.now() < end;)
      await turn();
    if (world.dispatcher.pending > 0) throw new Error('a request has no end');
    world.check(requests);
    await world.close();
  };
}

function negotiated(bytes: Buffer): void {
  const decoded = decodeRequest(bytes);
  const offer = decoded?.opcode === Opcode.INIT ? decodeOffer(decoded.body) : undefined;
  if (offer !== undefined) attempt(() => encodeAgreement(agree(offer), offer));
}

/** A dispatcher over a real ImageFs, whose kernel is in memory. */
function engine(file: string) {
  const clock = new ManualClock();
  const { log, check } = watchedLog();
  const pool = new FakePool(() => ({ kind: 'file', path: file }));
  const catalog = new FakeCatalog([image]);
  const filesystem = createImageFs({ catalog, pool, clock, log, status: () => '{}' });
  const files = new OpenFiles({
    descriptors: new Descriptors(new MountSources(sourceKinds(), 1)),
    backings: new Backings(undefined, log),
    onFenced: () => undefined,
  });
  const directories = new Map<number, DirectoryStream>();
  const kernel = new MemoryKernel();
  let directory = 0;
  const dispatcher = new Dispatcher({
    context: {
      filesystem,
      attributeTtlSeconds: 60,
      nodes: new KnownNodes(),
      files,
      earlier: new RestoredFiles({ journal: undefined, filesystem, files }),
      tookOver: false,
      directories,
      snapshots: new DirectorySnapshots(),
      quota: new HandleQuota(100),
      nextDirectory: () => (directory += 1),
      onOpened: () => undefined,
      routes: { kept: () => undefined, queue: () => false },
    },
    channel: kernel,
    clock,
    readTimeoutMs: 1000,
    openTimeoutMs: 1000,
    log,
    onInterrupt: () => false,
  });
  return {
    dispatcher,
    check(requests: readonly Buffer[]): void {
      check();
      for (const { payload } of kernel.answers) {
        if (payload !== undefined && payload.length > MAX_READ)
          throw new Error(`an answer of ${payload.length} bytes`);
        if (payload?.includes(BEHIND) === true) throw new Error('bytes from behind the image');
      }
      const answers = kernel.answers.map(({ unique }) => unique);
      const sent = requests.map((bytes) => decodeRequest(bytes)?.unique);
      for (const unique of new Set(answers)) {
        const times = answers.filter((answer) => answer === unique).length;
        if (times > sent.filter((one) => one === unique).length)
          throw new Error(`${unique} was answered twice`);
      }
    },
    async close(): Promise<void> {
      for (const fh of files.numbers()) {
        const opened = files.remove(fh);
        if (opened !== undefined) filesystem.release(opened.handle);
      }
      // An open whose caller left is taken back when it comes.
      for (const end = performance.now() + DISK_MS; pool.leases > 0 && performance.now() < end;) await turn();
      const { leases } = pool;
      filesystem.close();
      if (leases > 0) throw new Error(`${leases} leases are held`);
    },
  };
}
