import { judgeHead } from '../../../src/attach/head/verdict.js';
import { HEAD_BYTES, readHead } from '../../../src/attach/head/head-bytes.js';
import { ISO, marked, MBR, qcow2, SPARSE_LINES, vmdk } from '../../head/crafted-images.js';
import type { Target } from '../target.js';

const FORMATS = ['raw', 'qcow2', 'vmdk', 'vpc', 'vhdx', 'vdi', 'iso', 'luks', 'qed', '', 'ami', '\u001b[2J'];

/** The look at the head of an image before its first lease. */
export const imageHead: Target = {
  name: 'image-head',
  seeds: [
    qcow2({ bytes: 1024 }),
    qcow2({ version: 2, backing: '/etc/shadow', bytes: 1024 }),
    qcow2({ features: [2, 5], bytes: 1024 }),
    vmdk().subarray(0, 4096),
    vmdk({ directory: 0xffff_ffff_ffff_ffffn, footer: 'right' }).subarray(-8192),
    Buffer.concat([
      vmdk({ directory: 0xffff_ffff_ffff_ffffn }).subarray(0, 2048),
      vmdk({ footer: 'right' }).subarray(-1536),
    ]),
    Buffer.from(SPARSE_LINES.join('\n')),
    marked(MBR).subarray(0, 1024),
    marked(ISO).subarray(0, 33_000),
    ...['QED\0', 'conectix', 'vhdxfile', 'LUKS\xba\xbe', 'COWD'].map((magic) =>
      marked([0, magic]).subarray(0, 600),
    ),
    marked([0x40, '\x7f\x10\xda\xbe']).subarray(0, 600),
  ],
  words: [
    ...SPARSE_LINES,
    'createType="',
    'parentFileNameHint=',
    'RW 1 FLAT "/etc/shadow" 0',
    '\n',
    'KDMV',
    'conectix',
  ],
  open() {
    return async (input) => {
      const connected = {
        read: (offset: number, length: number) => Promise.resolve(input.subarray(offset, offset + length)),
      };
      const bytes = await readHead(connected, input.length);
      if (bytes.head.length > HEAD_BYTES) throw new Error('a head of any size');
      for (const diskFormat of FORMATS)
        for (const containerFormat of ['bare', 'ova', '']) {
          const { content, dangers } = judgeHead(bytes, { diskFormat, containerFormat });
          const text = [content, ...dangers].join('; ');
          if (text.length > 4096) throw new Error(`a verdict of ${text.length} characters`);
        }
    };
  },
};
