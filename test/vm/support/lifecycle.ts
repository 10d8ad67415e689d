import assert from 'node:assert/strict';
import { open, readdir, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { createHash } from 'node:crypto';
import { it } from 'node:test';
import type { BrickConnector } from '../../../src/attach/connectors/brick/brick-connector.js';
import type { Connected, Connector } from '../../../src/attach/connection/connector.js';
import type { HostRecord } from '../../../src/attach/journal/record.js';
import type { ConnectionInfo } from '../../../src/cinder/contract/attachments.js';
import { sha256By } from './hash-process.js';
import { leftovers } from './leftovers.js';
import { Stack } from './stack.js';

const MiB = 1024 * 1024;
const READERS = 8;

export interface Volume {
  readonly id: string;
  readonly info: ConnectionInfo;
  readonly mib: number;
  /** sha256 of its bytes. */
  readonly digest: string;
}

export interface Expected {
  /** The device says each of these of itself. */
  readonly ids: readonly string[];
}

/** A volume and the connector it is connected with; functions, because suites make both in `before`. */
export interface MountStage {
  readonly connector: () => Connector;
  readonly volume: () => Volume;
  /** Its transport may lose a frame, as FCoE does. */
  readonly losesFrames?: true;
}

export interface Stage extends MountStage {
  readonly connector: () => BrickConnector;
}

/** One volume's life on a host, whatever the protocol: connected, proven, read by eight at once, gone without a trace. */
export function describeLife(stage: Stage, expected: Expected): void {
  let connected: Connected;

  it('connects, and the device says who it is on every path', async () => {
    connected = await connect(stage.connector(), stage.volume());
    assert.equal(await connected.size(), stage.volume().mib * MiB);
    const identity = (await connected.object()) ?? '';
    for (const id of expected.ids) assert.ok(identity.includes(id), `${id} is not in: ${identity}`);
    assert.equal(identity, connected.host.identity);
  });

  it(`gives ${READERS} parallel readers the right bytes`, async () => {
    const { mib, digest } = stage.volume();
    const path = pathOf(connected);
    const digests = await Promise.all(Array.from({ length: READERS }, () => sha256Of(path, mib)));
    assert.deepEqual(new Set(digests), new Set([digest]));
  });

  it('is adopted by a process that knows only its record', async () => {
    const record = JSON.parse(JSON.stringify(connected.host)) as HostRecord;
    assert.ok(!JSON.stringify(record).includes('password'), 'a record never holds a secret');
    const adopted = await stage.connector().adopt(record);
    assert.equal(await adopted?.object(), connected.host.identity);
  });

  it('disconnects, leaves nothing, and disconnects again', async () => {
    await stage.connector().disconnect(connected.host);
    assert.deepEqual(leftovers(), []);
    await stage.connector().disconnect(connected.host);
    assert.equal(connected.lost.aborted, false);
  });

  describeMounted(stage);
}

/** The same volume as an image on a mount; what was on the host before may stay. */
export function describeMounted(stage: MountStage): void {
  it(`is listed, read by ${READERS} processes through the mount, and detached some time after`, async () => {
    const volume = stage.volume();
    const before = leftovers();
    const stack = await Stack.mount(stage.connector(), [volume]);
    try {
      assert.ok((await readdir(stack.mountpoint)).includes(basename(stack.fileOf(volume))));
      assert.equal((await stat(stack.fileOf(volume))).size, volume.mib * MiB);
      assert.deepEqual([...stack.cinder.stored.keys()], [], 'looking does not attach');
      const digests = await Promise.all(
        Array.from({ length: READERS }, () => sha256By(stack.fileOf(volume))),
      );
      assert.deepEqual(new Set(digests), new Set([volume.digest]));
      assert.equal(
        stack.cinder.calls.filter((call) => call === 'create').length,
        1,
        'all share one attachment',
      );
      // A frame that is lost costs a confirmation its answer; that read is made again, and still proven.
      const allowed = stage.losesFrames === true ? READERS : 0;
      assert.ok(stack.unproven <= allowed, `${stack.unproven} reads were not confirmed where they were made`);
      assert.ok(!stack.cinder.calls.includes('delete'), 'it lingers');
      await stack.quiet();
    } finally {
      await stack.unmount();
    }
    assert.deepEqual(leftovers(), before);
  });
}

export async function connect(connector: BrickConnector, { id, info }: Volume): Promise<Connected> {
  const refusal = await connector.refusal(info);
  if (refusal !== undefined) throw refusal;
  const request = { volumeId: id, info, signal: new AbortController().signal };
  return connector.connect(request, connector.plan(request));
}

export function pathOf({ source }: Connected): string {
  if (!('path' in source)) throw new Error('the brick connector yields devices');
  return source.path;
}

export async function sha256Of(path: string, mib: number): Promise<string> {
  const digest = createHash('sha256');
  const file = await open(path, 'r');
  try {
    for (let index = 0; index < mib; index++) {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(MiB), 0, MiB, index * MiB);
      if (bytesRead !== MiB) throw new Error(`${path} ends early`);
      digest.update(buffer);
    }
  } finally {
    await file.close();
  }
  return digest.digest('hex');
}
