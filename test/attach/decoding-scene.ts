/** A share with volumes in formats, a secret of the host beside it, and the connectors that decode. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../src/async/clock.js';
import type { Connected, Connector, ConnectRequest } from '../../src/attach/connection/connector.js';
import { NfsConnector } from '../../src/attach/connectors/nfs/nfs-connector.js';
import { NfsMounts } from '../../src/attach/connectors/nfs/nfs-mounts.js';
import { QemuConnector } from '../../src/attach/connectors/qemu/qemu-connector.js';
import type { ConnectionInfo } from '../../src/cinder/contract/attachments.js';
import { temporaryFolder } from '../support/temporary.js';
import { stayAwake } from '../support/time.js';
import type { Undo } from '../support/undo.js';
import { SECRET } from './crafted-qcow2.js';

export const VOLUME = '1e035fa6-7d97-400f-aa2d-cea1d44e4461';
const SHARE = '192.0.2.1:/volumes';

export const isRoot = process.getuid?.() === 0;

/** `nfs`: over a mount of the share; `qemu`: as files of this host. */
export type Kind = 'qemu' | 'nfs';

export class DecodingScene {
  readonly folder: string;
  /** As a share is: on another file system than the directory that it is mounted in. */
  readonly share: string;
  readonly connectors: Readonly<Record<Kind, Connector>>;

  private constructor(folder: string, share: string, mountProgram: string) {
    this.folder = folder;
    this.share = share;
    const qemu = this.successor();
    const mounts = new NfsMounts({ directory: join(folder, 'mounts'), timeoutMs: 20_000, mountProgram });
    this.connectors = { qemu, nfs: new NfsConnector(mounts, qemu) };
  }

  static async make(test: Undo): Promise<DecodingScene> {
    const folder = await temporaryFolder(test);
    stayAwake(test);
    const elsewhere = await mkdtemp('/dev/shm/cinderfs-test-');
    test.after(() => rm(elsewhere, { recursive: true, force: true }));
    const share = join(elsewhere, 'share');
    await mkdir(share);
    const mountProgram = join(folder, 'fake-mount');
    await writeFile(mountProgram, `#!/bin/sh\nexec mount --bind '${share}' "$6"\n`, { mode: 0o755 });
    const scene = new DecodingScene(folder, share, mountProgram);
    const plan = scene.connectors.qemu.plan({ volumeId: VOLUME, info: scene.info('qemu', 'volume') });
    test.after(() => scene.successor().disconnect(plan));
    await scene.hideSecret();
    return scene;
  }

  /** A file of the host that only root reads. */
  get secret(): string {
    return join(this.folder, 'secret');
  }

  async hideSecret(): Promise<void> {
    await writeFile(this.secret, Buffer.alloc(64 * 1024, SECRET), { mode: 0o600 });
  }

  async secretIsWhole(): Promise<boolean> {
    return (await readFile(this.secret, 'latin1')).startsWith(SECRET);
  }

  /** The qemu connector of another process. */
  successor(startMs = 20_000): QemuConnector {
    return new QemuConnector({
      directory: join(this.folder, 'nbd'),
      initiator: '',
      cephDirectory: this.folder,
      localDirectories: [this.share],
      shareMounts: join(this.folder, 'mounts'),
      clock: systemClock,
      startMs,
    });
  }

  at(name: string): string {
    return join(this.share, name);
  }

  info(kind: Kind, name: string, format = 'qcow2'): ConnectionInfo {
    return kind === 'nfs'
      ? { driver_volume_type: 'nfs', export: SHARE, name, format }
      : { driver_volume_type: 'local', device_path: this.at(name), name, format };
  }

  connect(kind: Kind, info: ConnectionInfo, vouched: Partial<ConnectRequest> = {}): Promise<Connected> {
    const request = { volumeId: VOLUME, info, signal: new AbortController().signal, ...vouched };
    const connector = this.connectors[kind];
    return connector.connect(request, connector.plan(request));
  }

  /** What connectors have left: nothing, if all went well. */
  async left(): Promise<readonly string[]> {
    const folders = [join(this.folder, 'nbd'), join(this.folder, 'mounts')];
    return (await Promise.all(folders.map((each) => readdir(each).catch(() => [])))).flat();
  }
}
