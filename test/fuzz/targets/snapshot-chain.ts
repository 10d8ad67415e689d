import { dirname } from 'node:path/posix';
import type { ConnectionInfo } from '../../../src/cinder/contract/attachments.js';
import { snapshotsOf } from '../../../src/cinder/volumes/snapshots.js';
import type { AttachmentRecord } from '../../../src/attach/journal/record.js';
import { besides } from '../../../src/attach/connection/volume-file.js';
import { qemuBlocks } from '../../../src/attach/connectors/qemu/qemu-block.js';
import { type ChainFile, SnapshotChain } from '../../../src/attach/connectors/qemu/snapshot-chain.js';
import { vouchedFor } from '../../../src/attach/lifecycle/vouched.js';
import { SEPARATOR } from '../edit.js';
import { attempt, attemptLater, type Target } from '../target.js';
import { headOf } from './qcow2-heads.js';

const VOLUME = '1e035fa6-7d97-400f-aa2d-cea1d44e4461';
const BASE = `volume-${VOLUME}`;
const uuid = (n: number): string => `2f1c7b7e-0f5c-4d0a-9d57-${String(n).padStart(12, '0')}`;
const UUID = /^[\da-f]{8}-(?:[\da-f]{4}-){3}[\da-f]{12}$/;
const SHARE = '/srv/share';
const HOST = { initiator: '', cephDirectory: '/nowhere', localDirectories: [SHARE] };
/** More than a chain may have. */
const MOST_HEADS = 24;

const NFS = { driver_volume_type: 'nfs', export: '192.0.2.1:/volumes', format: 'qcow2' };
const LOCAL = { driver_volume_type: 'local', format: 'raw' };
const RECORD: AttachmentRecord = {
  version: 1,
  volumeId: VOLUME,
  imageId: 'image',
  imageName: 'image',
  imageSize: 1,
  hash: { algorithm: 'sha512', value: '00' },
  multiattach: false,
  step: 'connect',
  since: 0,
  before: [],
  answered: true,
};

/** What Cinder says of the connection and of snapshots, and the heads of the files, the first one first. */
function seed(info: object, ids: readonly string[], heads: readonly object[]): Buffer {
  const entries = ids.map((id) => ({ id, volume_id: VOLUME, status: 'available' }));
  const parts = [info, { snapshots: entries }, ...heads];
  return Buffer.from(parts.map((part) => JSON.stringify(part)).join(SEPARATOR));
}

function chainOf(length: number): Buffer {
  const ids = Array.from({ length }, (_, n) => uuid(n));
  const names = [BASE, ...ids.map((id) => `${BASE}.${id}`)];
  const heads = names.slice(0, -1).map((backing, n) => ({ backing, format: n === 0 ? 'raw' : 'qcow2' }));
  return seed({ ...NFS, name: names.at(-1) }, ids, heads.reverse());
}

/** From Cinder's words and the heads of files to the files that are opened: none that Cinder does not list. */
export const snapshotChain: Target = {
  name: 'snapshot-chain',
  seeds: [
    chainOf(2),
    chainOf(18),
    seed(
      { ...LOCAL, device_path: `${SHARE}/${BASE}.${uuid(1)}` },
      [uuid(1)],
      [{ backing: BASE, format: 'raw' }],
    ),
    seed(
      { ...NFS, name: `${BASE}.${uuid(1)}`, device_path: `${SHARE}/${BASE}.${uuid(2)}` },
      [uuid(1)],
      [
        { backing: `${BASE}.${uuid(1)}`, format: 'qcow2' },
        { backing: BASE, format: 'qcow2', version: 2 },
      ],
    ),
    seed({ ...NFS, name: BASE }, [], [{}]),
  ],
  words: [
    ...['"snapshots":', '"id":', '"volume_id":', '"backing":', '"format":', '"device_path":', '"name":'],
    ...[`"${BASE}"`, `"${BASE}.${uuid(1)}"`, `"${uuid(1)}"`, `"${uuid(2)}"`, '"../x"', '"raw"', '"qcow2"'],
    ...['"snapshots_links":[{"rel":"next","href":"?marker=1"}],', SEPARATOR],
  ],
  open() {
    return async (input) => {
      const [first = '', second = '', ...rest] = input.toString('latin1').split(SEPARATOR);
      const info = infoIn(parsed(first));
      if (info === undefined || (await attemptLater(() => qemuBlocks(info, HOST))) === undefined) return;
      const answer = parsed(second);
      const volumes = { snapshots: (id: string) => listed(answer, id) };
      const vouched = await attemptLater(() =>
        vouchedFor(RECORD, info, { volumes, verifyLimit: 1 } as Parameters<typeof vouchedFor>[2]),
      );
      if (vouched === undefined) return;
      const heads = rest.map((part) => headOf(parsed(part), part));
      for (const compared of [true, false])
        await judge(
          attempt(() => new SnapshotChain({ info, ...vouched, compared })),
          { info, answer, heads },
        );
    };
  },
};

interface Facts {
  readonly info: ConnectionInfo;
  readonly answer: unknown;
  readonly heads: readonly Buffer[];
}

async function judge(chain: SnapshotChain | undefined, { info, answer, heads }: Facts): Promise<void> {
  if (chain === undefined || heads.length === 0) return;
  const files: ChainFile[] = [chain.lowest];
  const opened = await openedBy(info);
  if (opened !== undefined && opened !== chain.lowest.name)
    throw new Error(`${opened} is opened for ${chain.lowest.name}`);
  const allowed = namesFor(chain.lowest.name, answer);
  for (let n = 0; n < MOST_HEADS; n++) {
    const before = chain.lowest;
    const goesOn = attempt(() => chain.extend(heads[n % heads.length] ?? Buffer.alloc(0)));
    if (goesOn !== true) {
      if (chain.lowest !== before) throw new Error('a file was taken up that was refused');
      return;
    }
    judgeFile(chain.lowest, files, allowed);
    await judgePlace(info, chain.lowest.name);
    files.push(chain.lowest);
  }
  throw new Error(`a chain of more than ${files.length} files`);
}

function judgeFile(file: ChainFile, above: readonly ChainFile[], allowed: ReadonlySet<string>): void {
  if (!allowed.has(file.name)) throw new Error(`${JSON.stringify(file.name)} is listed by nothing`);
  if (above.some(({ name }) => name === file.name)) throw new Error(`${file.name} is there twice`);
  if (above.some(({ format }) => format !== 'qcow2')) throw new Error('there is something below a raw file');
  if (/[/\0]/.test(file.name) || Buffer.byteLength(file.name) > 255)
    throw new Error(`${JSON.stringify(file.name)} is no name of a file`);
}

/** The next file is where the first one is. */
async function judgePlace(info: ConnectionInfo, name: string): Promise<void> {
  const next = besides(info, name);
  const opened = await openedBy(next);
  if (opened !== undefined && opened !== name) throw new Error(`${opened} is opened for ${name}`);
  const place = ({ device_path: path }: ConnectionInfo): unknown =>
    info.driver_volume_type === 'local' && typeof path === 'string' ? dirname(path) : undefined;
  if (place(next) !== place(info)) throw new Error(`${name} is looked for in another directory`);
}

/** The name of the file that QEMU is told to open. */
async function openedBy(info: ConnectionInfo): Promise<string | undefined> {
  const [block] = (await attemptLater(() => qemuBlocks(info, HOST))) ?? [];
  const file = block?.options.file as { readonly path?: string } | undefined;
  const path = file?.path ?? (info.driver_volume_type === 'local' ? info.device_path : undefined);
  return typeof path === 'string' ? path.split('/').at(-1) : undefined;
}

/** What may be below the file: the base, and one file for each snapshot of this volume. */
function namesFor(first: string, answer: unknown): ReadonlySet<string> {
  const base = UUID.test(first.slice(-36)) ? first.slice(0, -37) : first;
  const { snapshots } = (answer ?? {}) as { readonly snapshots?: unknown };
  const entries: readonly unknown[] = Array.isArray(snapshots) ? snapshots : [];
  const ids = entries.flatMap((entry) => {
    const { id, volume_id: of } = (entry ?? {}) as Readonly<Record<string, unknown>>;
    return typeof id === 'string' && UUID.test(id) && of === VOLUME ? [id] : [];
  });
  return new Set([base, ...ids.map((id) => `${base}.${id}`)]);
}

function listed(answer: unknown, volumeId: string): ReturnType<typeof snapshotsOf> {
  const request = (): Promise<{ status: number; body: unknown; requestId: string; bytes: number }> =>
    Promise.resolve({ status: 200, body: answer, requestId: 'req-1', bytes: 1 });
  const endpoint = { request, isAdmin: () => Promise.resolve(false) };
  return snapshotsOf(endpoint as unknown as Parameters<typeof snapshotsOf>[0], volumeId, 100);
}

function infoIn(value: unknown): ConnectionInfo | undefined {
  const isInfo = typeof value === 'object' && value !== null && 'driver_volume_type' in value;
  return isInfo && typeof value.driver_volume_type === 'string' ? (value as ConnectionInfo) : undefined;
}

function parsed(part: string): unknown {
  try {
    return JSON.parse(Buffer.from(part, 'latin1').toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}
