import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { Connected, Connector, ConnectRequest } from '../../src/attach/connection/connector.js';
import type { HostRecord } from '../../src/attach/journal/record.js';
import { KrbdConnector } from '../../src/attach/connectors/krbd/krbd-connector.js';
import { CinderfsError } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { fastClock } from '../fakes/fast-clock.js';
import { eventually } from '../support/eventually.js';
import { temporaryFolder } from '../support/temporary.js';

const INFO = {
  driver_volume_type: 'rbd',
  name: 'volumes/volume-1',
  hosts: ['192.0.2.1', '[2001:db8::1]'],
  ports: ['6789', '6789'],
  auth_enabled: true,
  auth_username: 'cinder',
};
const REQUEST: ConnectRequest = { volumeId: 'v1', info: INFO, signal: new AbortController().signal };

/**
 * Stands in for rbd(8) and for the kernel's rbd module, which this kernel lacks: a sysfs tree written by hand after the
 * kernel's Documentation/ABI/testing/sysfs-bus-rbd, and files for disks.
 */
const FAKE_RBD = `
set -e
echo "$*" >>asked
verb=$2 spec= readonly=0
for word in "$@"; do
  if [ "$word" = --read-only ]; then readonly=1; fi
  spec=$word
done
case $verb in
  map)
    if [ -e refuses ]; then echo 'rbd: sysfs write failed' >&2; exit 6; fi
    id=$(ls sys/bus/rbd/devices | wc -l)
    mkdir -p sys/bus/rbd/devices/$id sys/block/rbd$id dev
    echo "\${spec%%/*}" >sys/bus/rbd/devices/$id/pool
    echo >sys/bus/rbd/devices/$id/pool_ns
    echo "\${spec##*/}" >sys/bus/rbd/devices/$id/name
    echo 3 >sys/bus/rbd/devices/$id/pool_id
    echo "10fac\${spec##*-}" >sys/bus/rbd/devices/$id/image_id
    echo 7ebae8be-0000-4000-8000-000000000001 >sys/bus/rbd/devices/$id/cluster_fsid
    echo $readonly >sys/block/rbd$id/ro
    wc -l <asked >sys/block/rbd$id/diskseq
    echo bytes >dev/rbd$id
    echo /dev/rbd$id
    [ ! -e cut ] || exec sleep 60 ;;
  unmap)
    if [ -e busy ]; then echo 'rbd: unmap failed: (16) Device or resource busy' >&2; exit 16; fi
    id=\${spec##*rbd}
    rm -r sys/bus/rbd/devices/$id sys/block/rbd$id dev/rbd$id ;;
esac
`;

class Host {
  readonly folder: string;
  readonly connector: KrbdConnector;
  /** What the connector in user space was told. */
  readonly fallback: string[] = [];

  private constructor(folder: string) {
    this.folder = folder;
    this.connector = new KrbdConnector({
      cephDirectory: folder,
      stepMs: 20_000,
      fallback: this.#userSpace(),
      clock: fastClock(20),
      log: silentLog,
      program: join(folder, 'rbd'),
      root: folder,
    });
  }

  static async make(test: TestContext): Promise<Host> {
    const folder = await temporaryFolder(test);
    await mkdir(join(folder, 'sys/bus/rbd/devices'), { recursive: true });
    await writeFile(join(folder, 'ceph.client.cinder.keyring'), '[client.cinder]\n\tkey = c2VjcmV0\n');
    await writeFile(join(folder, 'rbd'), `#!/bin/sh\ncd '${folder}'${FAKE_RBD}`, { mode: 0o755 });
    return new Host(folder);
  }

  connect(): Promise<Connected> {
    return this.connector.connect(REQUEST, this.connector.plan(REQUEST));
  }

  async mapped(): Promise<readonly string[]> {
    return readdir(join(this.folder, 'sys/bus/rbd/devices'));
  }

  /** As rbd(8) would be run by hand, or by nova. */
  async rbd(...args: readonly string[]): Promise<void> {
    await promisify(execFile)(join(this.folder, 'rbd'), args);
  }

  async asked(): Promise<string> {
    return readFile(join(this.folder, 'asked'), 'utf8');
  }

  #userSpace(): Connector {
    const connected = { host: { socket: '/s' } } as unknown as Connected;
    const say = <T>(word: string, answer: T): Promise<T> => {
      this.fallback.push(word);
      return Promise.resolve(answer);
    };
    return {
      name: 'qemu',
      refusal: () => Promise.resolve(undefined),
      plan: () => ({ socket: '/s' }),
      connect: () => say('connect', connected),
      adopt: () => say('adopt', connected),
      disconnect: () => say('disconnect', undefined),
    };
  }
}

const skip = process.getuid?.() === 0 ? false : 'only root may map an image';

describe('the krbd connector, on a hand-written sysfs tree', { skip }, () => {
  it('maps an image read-only, for itself alone, and unmaps it', async (test) => {
    const host = await Host.make(test);
    await host.rbd('device', 'map', 'volumes/volume-1');
    const connected = await host.connect();
    assert.ok(connected.source.kind === 'file');
    assert.equal(connected.source.path, join(host.folder, 'dev/rbd1'));
    const name = 'rbd.7ebae8be-0000-4000-8000-000000000001/3/10fac1';
    assert.equal(connected.deviceName, name);
    assert.equal(await connected.object(), `${name} diskseq.2`);
    const adopted = await host.connector.adopt(JSON.parse(JSON.stringify(connected.host)) as HostRecord);
    assert.equal(await adopted?.object(), `${name} diskseq.2`);
    await host.connector.disconnect(connected.host);
    await host.connector.disconnect(connected.host);
    assert.deepEqual(await host.mapped(), ['0'], "nova's own mapping of the same image stays");
    assert.equal(
      (await host.asked()).split('\n')[1],
      `device map --read-only --options noudev --cluster ceph --id cinder --keyring ${host.folder}/ceph.client.cinder.keyring --mon-host 192.0.2.1:6789,[2001:db8::1]:6789 volumes/volume-1`,
    );
    assert.equal(connected.lost.aborted, false);
  });

  it('has the image read in user space where the kernel refuses', async (test) => {
    const host = await Host.make(test);
    await writeFile(join(host.folder, 'refuses'), '');
    assert.equal(await host.connector.refusal(INFO), undefined);
    const { host: record } = await host.connect();
    assert.deepEqual(record, { socket: '/s', image: 'volumes/volume-1' });
    assert.notEqual(await host.connector.adopt(record), undefined);
    await host.connector.disconnect(record);
    assert.deepEqual(host.fallback, ['connect', 'adopt', 'disconnect']);
  });

  it('has it read in user space where rbd(8) is missing', async (test) => {
    const host = await Host.make(test);
    await rm(join(host.folder, 'rbd'));
    assert.equal(await host.connector.refusal(INFO), undefined);
    await host.connect();
    assert.deepEqual(host.fallback, ['connect']);
  });

  it('finds what it mapped when it was cut before it knew', async (test) => {
    const host = await Host.make(test);
    await host.rbd('device', 'map', '--read-only', 'volumes/volume-2');
    await host.rbd('device', 'map', 'volumes/volume-1');
    await host.rbd('device', 'map', '--read-only', 'volumes/volume-1');
    await host.connector.disconnect(host.connector.plan(REQUEST));
    assert.deepEqual(await host.mapped(), ['0', '1'], 'neither another image, nor one mapped for writing');
  });

  it('undoes a map that the caller gave up', async (test) => {
    const host = await Host.make(test);
    await writeFile(join(host.folder, 'cut'), '');
    const abort = new AbortController();
    const request = { ...REQUEST, signal: abort.signal };
    const connecting = host.connector.connect(request, host.connector.plan(request));
    await eventually('it is mapped', async () => ((await host.mapped()).length > 0 ? true : undefined));
    abort.abort(new CinderfsError('interrupted', 'the caller left'));
    await assert.rejects(connecting, (error) => CinderfsError.is(error) && error.code === 'interrupted');
    assert.deepEqual([await host.mapped(), host.fallback], [[], []]);
  });

  it('says what is still there when somebody has it open', async (test) => {
    const host = await Host.make(test);
    const { host: record } = await host.connect();
    await writeFile(join(host.folder, 'busy'), '');
    await assert.rejects(host.connector.disconnect(record), /Device or resource busy/);
    await rm(join(host.folder, 'busy'));
    await host.connector.disconnect(record);
    assert.deepEqual(await host.mapped(), []);
  });

  it('notices when somebody unmaps it, and takes no other image for it', async (test) => {
    const host = await Host.make(test);
    const connected = await host.connect();
    await host.rbd('device', 'unmap', '/dev/rbd0');
    await eventually('the loss shows', () => Promise.resolve(connected.lost.aborted ? true : undefined));
    await host.rbd('device', 'map', '--read-only', 'volumes/volume-2');
    await assert.rejects(Promise.resolve(connected.object()), /vanished/);
    await host.connector.disconnect(connected.host);
    assert.deepEqual(await host.mapped(), ['0']);
  });
});
