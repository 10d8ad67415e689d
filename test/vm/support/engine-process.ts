/**
 * An engine of a real supervisor, for a kernel in an emulator: the transport with all of its recovery, one file instead of
 * OpenStack. `engine-process.js engine SOURCE MOUNTPOINT RUN_DIR`: it shows SOURCE as the file `image`.
 */
import { readFileSync } from 'node:fs';
import { systemClock } from '../../../src/async/clock.js';
import { SURVIVAL_FILES } from '../../../src/daemon/run-dir.js';
import { mountSupervised } from '../../../src/daemon/supervised-mount.js';
import type { FileMemo, OpenFile } from '../../../src/fs/contract/filesystem.js';
import { removeRequestAges } from '../../../src/fs/fuse/recovery/request-ages.js';
import { OpenJournal } from '../../../src/fs/fuse/recovery/open-journal.js';
import { WorkerThreads } from '../../../src/fs/fuse/pool/worker-threads.js';
import { silentLog } from '../../../src/log.js';
import { SupervisorLink } from '../../../src/supervisor/link.js';
import { MemoryFilesystem } from '../../fuse/memory-filesystem.js';

class OneFile extends MemoryFilesystem {
  constructor(path: string) {
    const content = readFileSync(path);
    super([{ name: 'image', size: content.length, content, source: { kind: 'file', path } }]);
  }

  override async open(node: number, flags: number): Promise<OpenFile> {
    return { ...(await super.open(node, flags)), memo: { node } };
  }

  reopen(memo: FileMemo): Promise<OpenFile> {
    return this.open(Number(memo.node), 0);
  }
}

const [source = '', mountpoint = '', runDir = ''] = process.argv.slice(3);
const at = (file: keyof typeof SURVIVAL_FILES): string => `${runDir}/${SURVIVAL_FILES[file]}`;
const link = SupervisorLink.connect();
const turn = await link.begin();
const journal = await OpenJournal.open(at('openFiles'), { fresh: turn.mount === undefined });
const { generation } = turn;
const survival = { journal, generation, resend: true, inFlight: at('inFlight') };
const transport = await mountSupervised(
  new OneFile(source),
  {
    mountpoint,
    fsname: 'cinderfs-test',
    allowOther: true,
    readTimeoutMs: 600_000,
    openTimeoutMs: 600_000,
    attributeTtlSeconds: 1,
    passthrough: false,
    log: silentLog,
  },
  { link, turn, survival, threads: new WorkerThreads(), onRestored: () => undefined },
  systemClock,
);
link.serving({ yield: () => Promise.resolve(), resume: () => Promise.resolve() });
await transport.ended;
removeRequestAges(at('heldSince'));
link.ending();
process.disconnect();
