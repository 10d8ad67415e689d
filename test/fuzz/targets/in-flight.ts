import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { IN_FLIGHT_BYTES, InFlightSlots, SLOT_BYTES } from '../../../src/fs/fuse/shared/in-flight-slots.js';
import { InFlight } from '../../../src/fs/fuse/recovery/in-flight.js';
import { systemCalls } from '../../../src/sys/calls/system-calls.js';
import { IN_HEADER } from '../../../src/fs/fuse/protocol/messages.js';
import { Opcode } from '../../../src/fs/fuse/protocol/opcodes.js';
import { decodeRequest } from '../../../src/fs/fuse/protocol/request.js';
import { temporaryFolder } from '../../support/temporary.js';
import { watchedLog, type Target } from '../target.js';

function slots(...uniques: readonly bigint[]): Buffer {
  return Buffer.concat(
    uniques.map((unique) => {
      const slot = Buffer.alloc(SLOT_BYTES);
      IN_HEADER.encodeInto(slot, 0, { len: IN_HEADER.size + 8, opcode: Opcode.OPEN, unique, nodeid: 2 });
      return slot;
    }),
  );
}

/** The slots of requests that an earlier engine left unanswered. Mapped memory stays mapped: one object serves all runs. */
export const inFlight: Target = {
  name: 'in-flight',
  seeds: [slots(2n, 4n, 6n), slots(3n), slots(0n, 2n ** 64n - 2n), Buffer.alloc(SLOT_BYTES)],
  async open(undo) {
    const file = path.join(await temporaryFolder(undo), 'in-flight');
    const calls = systemCalls();
    if (calls === undefined) throw new Error('koffi is a dependency of this target');
    const { log, check } = watchedLog();
    const memory = Buffer.alloc(64 * SLOT_BYTES);
    let opened = 0;
    return (input) => {
      if (opened === 0)
        wholeFile(file, input, () => new InFlight({ path: file, fresh: false, workers: 1, calls, log }));
      opened += 1;
      memory.fill(0);
      input.copy(memory);
      const share = { state: InFlightSlots.state(1), workers: 1 };
      const kept = new InFlightSlots(share, memory);
      kept.there = Math.floor(Math.min(input.length, memory.length) / SLOT_BYTES);
      for (let slot = 0; slot < kept.there; slot += 1) {
        const request = kept.request(slot);
        if (request !== undefined && request.bytes.length > SLOT_BYTES) throw new Error('longer than a slot');
        if (request !== undefined) decodeRequest(request.bytes);
      }
      check();
    };
  },
};

/** Of any length: beyond its end no memory may be touched. */
function wholeFile(file: string, input: Buffer, open: () => InFlight): void {
  writeFileSync(file, input.subarray(0, IN_FLIGHT_BYTES));
  const inFlight = open();
  for (const bytes of inFlight.left((unique) => unique % 4n === 0n)) decodeRequest(bytes);
  inFlight.remove();
}
