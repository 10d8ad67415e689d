import { judgeQcow2, readQcow2, type Qcow2Head } from '../../../src/attach/connectors/qemu/qcow2-header.js';
import { dangersOfQcow2 } from '../../../src/attach/head/qcow2.js';
import { qcow2, withBackingFormat } from '../../head/crafted-images.js';
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
    withBackingFormat(qcow2({ backing: 'volume-1', bytes: 1024 }), 'raw'),
    withBackingFormat(qcow2({ version: 2, backing: 'volume-1', bytes: 1024 }), 'qcow2'),
  ],
  open() {
    return (input) => {
      const read = attempt(() => readQcow2(input));
      const head = attempt(() => judgeQcow2(input));
      judgeBacking(input, read, head);
      const dangers = dangersOfQcow2(input);
      if (head === undefined) return;
      if (dangers.length > 0) throw new Error(`it is decoded although ${dangers.join('; ')}`);
      if (!Number.isFinite(head.virtualSize) || head.virtualSize < 0) throw new Error('a size that is none');
    };
  },
};

/** A name below is one that the file holds, and never the name of a file that is all of its volume. */
function judgeBacking(input: Buffer, read: Qcow2Head | undefined, alone: Qcow2Head | undefined): void {
  const { backing } = read ?? {};
  if ((read !== undefined && backing === undefined) !== (alone !== undefined))
    throw new Error('a file with a backing file is all of its volume');
  if (backing === undefined) return;
  const { name, format = '' } = backing;
  if (name.length === 0 || name.length > 1023 || format.length > input.length)
    throw new Error(`a name of ${name.length} characters`);
  for (const text of [name, format])
    if (!input.includes(Buffer.from(text, 'latin1'))) throw new Error('a name from somewhere');
  const dangers = dangersOfQcow2(input).filter((danger) => danger !== 'it has a backing file');
  if (dangers.length > 0) throw new Error(`it is read although ${dangers.join('; ')}`);
}
