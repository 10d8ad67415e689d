import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { contextOf } from '../../../src/attach/host-context.js';
import type { AttachmentRecord } from '../../../src/attach/journal/record.js';
import { Pool } from '../../../src/attach/lifecycle/pool.js';
import { AttachWorld } from '../../fakes/attach-world.js';
import { temporaryFolder } from '../../support/temporary.js';
import type { Undo } from '../../support/undo.js';
import { SEPARATOR } from '../edit.js';
import { attemptLater, watchedLog, type Run, type Target } from '../target.js';

const VOLUME = '11111111-0000-4000-8000-000000000001';
const ATTACHMENT = '22222222-0000-4000-8000-000000000002';
const record: AttachmentRecord = {
  version: 1,
  volumeId: VOLUME,
  imageId: 'aaaaaaaa-0000-4000-8000-000000000001',
  imageName: 'debian',
  imageSize: 20,
  hash: { algorithm: 'sha512', value: 'c0ffee' },
  multiattach: true,
  step: 'attached',
  since: 1_700_000_000_000,
  before: [],
  answered: true,
  attachmentId: ATTACHMENT,
  connector: 'simulated',
  host: { path: '/dev/x', pid: 7 },
  backend: `iqn:iqn.${VOLUME}`,
  named: true,
  locks: ['lock'],
};
const pin = {
  volumeId: VOLUME,
  imageId: record.imageId,
  backend: 'wwn:1',
  fingerprint: 'abc',
  hash: 'sha512:c0ffee',
};
const CHANGES: readonly Partial<AttachmentRecord>[] = [
  {},
  {
    step: 'reserve',
    answered: false,
    attachmentId: undefined,
    search: { begun: 1, seen: { [ATTACHMENT]: 2 } },
  },
  { step: 'disconnect', abandonedAt: 1_700_000_000_000, doubt: 'decoded' },
  { step: 'delete', host: undefined },
  { step: 'clone', clone: { name: 'cinderfs-clone', answered: false } },
  { step: 'delete_clone', clone: { name: 'cinderfs-clone', answered: true, volumeId: VOLUME } },
];

/** Records of attachments and pins, read by the process that comes after: up to each being adopted or undone. */
export const records: Target = {
  name: 'records',
  seeds: CHANGES.map((change) =>
    Buffer.from(`${JSON.stringify({ ...record, ...change })}${SEPARATOR}${JSON.stringify(pin)}`),
  ),
  words: ['"step":', '"attached"', '"volumeId":', '"../../x"', '"version":2', 'null', SEPARATOR],
  open,
};

async function open(undo: Undo): Promise<Run> {
  const stateDir = await temporaryFolder(undo);
  for (const kind of ['attachments', 'pins']) mkdirSync(path.join(stateDir, kind), { mode: 0o700 });
  return async (input) => {
    const parts = input.toString('latin1').split(SEPARATOR);
    for (const [at, kind] of ['attachments', 'pins'].entries()) {
      const folder = path.join(stateDir, kind);
      for (const name of readdirSync(folder)) rmSync(path.join(folder, name));
      writeFileSync(path.join(folder, `${VOLUME}.json`), Buffer.from(parts[at] ?? '', 'latin1'));
    }
    await attemptLater(() => recovered(stateDir));
  };
}

async function recovered(stateDir: string): Promise<void> {
  const world = new AttachWorld();
  world.addImage(VOLUME);
  const { log, check } = watchedLog();
  const quiet = {
    ...log,
    error: (fields: object, text: string) => (text.includes('aside') ? undefined : log.error(fields, text)),
  };
  const { journal, pins } = await contextOf({
    attachments: world.cinder,
    volumes: world.cinder,
    images: world.glance,
    clones: world.clones,
    stateDir,
    runDir: stateDir,
    mountpoint: '/images',
    connector: 'local',
    host: 'host-1',
    ip: '192.0.2.1',
    mountId: 'mount-1',
    log: quiet,
  });
  const writing = new Set<Promise<void>>();
  const counted = <T extends Kept>(kept: T): T =>
    Object.assign(Object.create(kept) as T, {
      get: (key: string) => kept.get(key),
      list: () => kept.list(),
      write: (value: never) => track(writing, kept.write(value)),
      remove: (key: string) => track(writing, kept.remove(key)),
    });
  const stores = { journal: counted(journal), pins: counted(pins) };
  const pool = new Pool({ ...world.context, ...stores, log: quiet }, world.end.signal);
  pool.recover(journal.list());
  for (let round = 0; round < 6; round += 1) {
    for (let turns = 0; turns < 30; turns += 1) await turn();
    await world.clock.advance(round * 5_000);
  }
  JSON.stringify(pool.report());
  pool.figures();
  world.end.abort();
  for (let turns = 0; turns < 30; turns += 1) {
    await turn();
    await Promise.allSettled(writing);
  }
  check();
}

interface Kept {
  get(key: string): unknown;
  list(): unknown;
  write(value: never): Promise<void>;
  remove(key: string): Promise<void>;
}

/** The folder is emptied by the next run: nobody may still write there. */
async function track(writing: Set<Promise<void>>, work: Promise<void>): Promise<void> {
  writing.add(work);
  try {
    await work;
  } finally {
    writing.delete(work);
  }
}
