import { systemClock } from '../../src/async/clock.js';
import { QemuConnector } from '../../src/attach/connectors/qemu/qemu-connector.js';

/** The qemu connector for the embedded cloud, whose volumes are files: real processes without a storage backend. */
export class FileQemuConnector extends QemuConnector {
  constructor(directory: string) {
    super({
      directory,
      clock: systemClock,
      startMs: 30_000,
      initiator: '',
      cephDirectory: '',
      blocks: ({ device_path: filename }) =>
        Promise.resolve([{ options: { driver: 'raw', file: { driver: 'file', filename } } }]),
    });
  }

  override refusal(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
}
