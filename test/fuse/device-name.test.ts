import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { it } from 'node:test';
import { stillIdentifiesAs } from '../../src/sources/device/device-name.js';
import type { SystemCalls } from '../../src/sys/calls/system-calls.js';

const SAYS = Buffer.from('030010600140511112222333344445555666670', 'hex');

/** A disk that answers so. What a real one answers, on one path and on several, is tested in the VM. */
function answering(answer: Buffer | undefined): SystemCalls {
  return { inquire: () => answer } as unknown as SystemCalls;
}

void it('takes only the answer that names the volume', async () => {
  const file = await open('/dev/null', 'r');
  const isStill = (answer: Buffer | undefined): boolean =>
    stillIdentifiesAs(file.fd, SAYS, answering(answer));
  try {
    assert.equal(isStill(Buffer.concat([Buffer.from([0, 0x83, 0, 60, 0x01]), SAYS, Buffer.alloc(9)])), true);
    const foreign = Buffer.from(SAYS);
    foreign[10] = 0xff;
    assert.equal(isStill(Buffer.concat([Buffer.from([0, 0x83, 0, 60, 0x01]), foreign])), false);
    assert.equal(isStill(undefined), false, 'silence is no proof');
  } finally {
    await file.close();
  }
});
