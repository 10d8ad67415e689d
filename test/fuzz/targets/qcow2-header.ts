import { judgeQcow2 } from '../../../src/attach/connectors/qemu/qcow2-header.js';
import { dangersOfQcow2 } from '../../../src/attach/head/qcow2.js';
import { qcow2 } from '../../head/crafted-images.js';
import { attempt, type Target } from '../target.js';

/** With extensions, as qemu-img writes them: a feature table and an end. */
function withExtensions(): Buffer {
  const image = qcow2({ bytes: 1024 });
  image.writeUInt32BE(0x6803f857, 104);
  image.writeUInt32BE(48, 108);
  image.writeUInt32BE(0x44415441, 168);
  image.writeUInt32BE(5, 172);
  return image;
}

/** The header of a volume that the decoder is to read: what passes must be harmless for the look at images, too. */
export const qcow2Header: Target = {
  name: 'qcow2-header',
  seeds: [
    qcow2({ bytes: 512 }),
    qcow2({ version: 2, bytes: 512 }),
    qcow2({ backing: 'json:{}', bytes: 1024 }),
    qcow2({ features: [2], bytes: 512 }),
    qcow2({ features: [0, 1, 3, 4, 63], bytes: 512 }),
    withExtensions(),
  ],
  open() {
    return (input) => {
      const head = attempt(() => judgeQcow2(input));
      const dangers = dangersOfQcow2(input);
      if (head === undefined) return;
      if (dangers.length > 0) throw new Error(`it is decoded although ${dangers.join('; ')}`);
      if (!Number.isFinite(head.virtualSize) || head.virtualSize < 0) throw new Error('a size that is none');
    };
  },
};
