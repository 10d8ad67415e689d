import type { Pin, Pins } from '../../src/attach/proof/identity.js';
import type { Journal } from '../../src/attach/journal/journal.js';
import type { AttachmentRecord } from '../../src/attach/journal/record.js';

/** The journal's contract without a disk; record-store.test.ts holds the real one to the same. */
export class MemoryJournal implements Journal {
  readonly #records = new Map<string, AttachmentRecord>();
  /** Runs before each change; what it throws is a failed write, and a promise that never settles is a crash. */
  gate: (record: AttachmentRecord | undefined) => Promise<void> = () => Promise.resolve();

  get(volumeId: string): AttachmentRecord | undefined {
    return this.#records.get(volumeId);
  }

  list(): readonly AttachmentRecord[] {
    return [...this.#records.values()];
  }

  async write(record: AttachmentRecord): Promise<void> {
    await this.gate(record);
    this.#records.set(record.volumeId, record);
  }

  async remove(volumeId: string): Promise<void> {
    await this.gate(undefined);
    this.#records.delete(volumeId);
  }
}

export class MemoryPins implements Pins {
  readonly #pins = new Map<string, Pin>();

  get(volumeId: string): Pin | undefined {
    return this.#pins.get(volumeId);
  }

  list(): readonly Pin[] {
    return [...this.#pins.values()];
  }

  write(pin: Pin): Promise<void> {
    this.#pins.set(pin.volumeId, pin);
    return Promise.resolve();
  }

  remove(volumeId: string): Promise<void> {
    this.#pins.delete(volumeId);
    return Promise.resolve();
  }
}
