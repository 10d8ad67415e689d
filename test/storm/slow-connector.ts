import type { Connected, Connector } from '../../src/attach/connection/connector.js';
import type { HostRecord } from '../../src/attach/journal/record.js';
import { moment } from '../support/time.js';

/** The host half of an attach as a hypervisor of a cluster has it: it takes its time, elsewhere. Makes nothing here. */
export class SlowConnector implements Connector {
  readonly name = 'slow';
  readonly #ms: number;
  readonly #imageSize: number;

  constructor(ms: number, imageSize: number) {
    this.#ms = ms;
    this.#imageSize = imageSize;
  }

  refusal(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  plan(): HostRecord {
    return {};
  }

  async connect(): Promise<Connected> {
    await moment(this.#ms);
    return {
      source: { kind: 'file', path: '/dev/zero' },
      host: {},
      lost: new AbortController().signal,
      object: () => Promise.resolve(undefined),
      size: () => Promise.resolve(this.#imageSize),
      read: (_, length) => Promise.resolve(Buffer.alloc(length)),
    };
  }

  adopt(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  disconnect(): Promise<void> {
    return Promise.resolve();
  }
}
