import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readHead } from '../../src/attach/head/head-bytes.js';
import { judgeHead } from '../../src/attach/head/verdict.js';
import { ISO, marked, MBR, qcow2, SPARSE_LINES, vmdk } from './crafted-images.js';

async function dangersOf(image: Buffer, diskFormat: string, containerFormat = 'bare'): Promise<string> {
  const read = (offset: number, length: number): Promise<Buffer> => {
    assert.ok(offset >= 0 && offset + length <= image.length, 'never beyond the image');
    return Promise.resolve(image.subarray(offset, offset + length));
  };
  const bytes = await readHead({ read }, image.length);
  return judgeHead(bytes, { diskFormat, containerFormat }).dangers.join('; ');
}

const replaced = (from: string, to: string): readonly string[] =>
  SPARSE_LINES.map((line) => (line.startsWith(from) ? to : line));

describe('the look at the head of an image', () => {
  const unsafe: Record<string, readonly [image: Buffer, diskFormat: string, why: RegExp]> = {
    'a qcow2 header in a raw image': [qcow2(), 'raw', /it is qcow2, not raw/],
    'a qcow2 header in an aki image': [qcow2(), 'aki', /not aki/],
    'a qcow2 header in a format without a mark': [qcow2(), 'ploop', /not ploop/],
    'a VMDK header in a raw image': [vmdk(), 'raw', /it is vmdk, not raw/],
    'a VMDK descriptor in a raw image': [
      marked([0, replaced('createType', 'createType="monolithicFlat"').join('\n').padEnd(600, '\n')]),
      'raw',
      /it is vmdk/,
    ],
    'a VMFS sparse header in a raw image': [marked([0, 'COWD']), 'raw', /it is vmdk/],
    'a qcow2 header in an ISO image': [marked([0, qcow2({ bytes: 512 })], ISO), 'iso', /qcow2/],
    'raw bytes that are said to be qcow2': [marked(MBR), 'qcow2', /it is gpt, not qcow2/],
    'nothing that is said to be qcow2': [marked(), 'qcow2', /it is raw, not qcow2/],
    'nothing that is said to be an ISO image': [marked(MBR), 'iso', /it is gpt, not iso/],
    'a qcow2 with a backing file': [qcow2({ backing: '/etc/shadow' }), 'qcow2', /backing file/],
    'a qcow2 of version 2 with a backing file': [
      qcow2({ version: 2, backing: 'json:{}' }),
      'qcow2',
      /backing/,
    ],
    'a qcow2 with a data file': [qcow2({ features: [2] }), 'qcow2', /external data file/],
    'a qcow2 with a feature of tomorrow': [qcow2({ features: [7] }), 'qcow2', /unknown/],
    'a qcow2 with a feature in the first byte': [qcow2({ features: [56] }), 'qcow2', /unknown/],
    'a qcow of version 1': [qcow2({ version: 1 }), 'qcow2', /version 1/],
    'a qcow2 of version 4': [qcow2({ version: 4 }), 'qcow2', /version 4/],
    'a qcow2 that ends in its header': [qcow2({ bytes: 512 }).subarray(0, 40), 'qcow2', /cut short/],
    'a qcow2 that is an ISO image, too': [
      marked([0, qcow2({ bytes: 512 })], ISO),
      'qcow2',
      /may be taken for/,
    ],
    'a qed': [marked([0, 'QED\0']), 'qed', /qed/],
    'a VMDK of flat extents': [
      vmdk({ lines: replaced('createType', 'createType="monolithicFlat"') }),
      'vmdk',
      /type "monolithicflat"/,
    ],
    'a VMDK that says two types': [
      vmdk({ lines: ['CREATETYPE="streamOptimized"', ...replaced('createType', 'createType="vmfs"')] }),
      'vmdk',
      /type "vmfs"/,
    ],
    'a VMDK whose extent is elsewhere': [
      vmdk({ lines: replaced('RW', 'RW 2048 SPARSE "/etc/shadow"') }),
      'vmdk',
      /extents are other files/,
    ],
    'a VMDK with a flat extent': [
      vmdk({ lines: replaced('RW', 'RW 2048 FLAT "shadow" 0') }),
      'vmdk',
      /extents are other files/,
    ],
    'a VMDK with an extent behind a protocol': [
      vmdk({ lines: replaced('RW', 'RW 2048 SPARSE "nbd:localhost:1"') }),
      'vmdk',
      /extents are other files/,
    ],
    'a VMDK with a parent': [
      vmdk({ lines: [...SPARSE_LINES, 'parentFileNameHint="base.vmdk"'] }),
      'vmdk',
      /backing file/,
    ],
    'a VMDK whose header is none': [vmdk({ capacity: 0n }), 'vmdk', /extents are other files/],
    'a VMDK whose descriptor is elsewhere': [vmdk({ descriptorAt: 2n }), 'vmdk', /cannot be read/],
    'a VMDK without extents': [vmdk({ lines: replaced('RW', '') }), 'vmdk', /names no extent/],
    'a VMDK with a line that means nothing': [
      vmdk({ lines: [...SPARSE_LINES, 'wronly 2048 x'] }),
      'vmdk',
      /lines that mean nothing/,
    ],
    'a VMDK with a footer that is none': [
      vmdk({ directory: 0xffff_ffff_ffff_ffffn, footer: 'wrong' }),
      'vmdk',
      /footer/,
    ],
    'a VMDK whose footer moves the descriptor': [
      vmdk({ directory: 0xffff_ffff_ffff_ffffn, footer: 'moved' }),
      'vmdk',
      /footer/,
    ],
    'a VHD with a parent': [marked([0, 'conectix'], [60, '\0\0\0\x04']), 'vhd', /parent file/],
  };
  for (const [what, [image, diskFormat, why]] of Object.entries(unsafe))
    it(`finds ${what}`, async () => assert.match(await dangersOf(image, diskFormat), why));

  const safe: Record<string, readonly [image: Buffer, diskFormat: string, containerFormat?: string]> = {
    'a raw disk without any mark': [marked(), 'raw'],
    'one byte': [Buffer.from('x'), 'raw'],
    'a raw disk with a partition table': [marked(MBR), 'raw'],
    'a disk that is said to have one': [marked(MBR), 'gpt'],
    'a FAT file system': [marked([0x10, '\x02'], [0x15, '\xf8'], MBR), 'raw'],
    'an ISO image': [marked(ISO), 'iso'],
    'a hybrid ISO image': [marked(ISO, MBR), 'iso'],
    'a hybrid ISO image that is said to be raw': [marked(ISO, MBR), 'raw'],
    'a UDF image': [marked([32_769, 'NSR03']), 'iso'],
    'an encrypted disk that is said to be raw': [marked([0, 'LUKS\xba\xbe\0\x02']), 'raw'],
    'a kernel': [marked([0x202, 'HdrS'], MBR), 'aki'],
    'a ploop': [marked([0, 'WithouFreSpacExt']), 'ploop'],
    'a text': [marked([0, 'version=4\ncreateType is a word\n']), 'raw'],
    'a format that Glance does not know': [marked([0, 'anything']), 'squashfs'],
    'a qcow2': [qcow2(), 'qcow2'],
    'a qcow2 of version 2, whatever is where features came later': [
      qcow2({ version: 2, features: [2] }),
      'qcow2',
    ],
    'a dirty qcow2 with extended L2 entries and another compression': [
      qcow2({ features: [0, 3, 4] }),
      'qcow2',
    ],
    'a VMDK': [vmdk(), 'vmdk'],
    'a VMDK in other letters': [vmdk({ lines: SPARSE_LINES.map((line) => line.toUpperCase()) }), 'vmdk'],
    'a VMDK with a footer': [vmdk({ directory: 0xffff_ffff_ffff_ffffn, footer: 'right' }), 'vmdk'],
    'a dynamic VHD': [marked([0, 'conectix'], [60, '\0\0\0\x03']), 'vhd'],
    'a dynamic VHD by its name in QEMU': [marked([0, 'conectix']), 'vpc'],
    'a VHD of fixed size': [marked([128 * 1024 - 512, 'conectix'], MBR), 'vhd'],
    'a VHDX': [marked([0, 'vhdxfile']), 'vhdx'],
    'a VDI': [marked([0x40, '\x7f\x10\xda\xbe']), 'vdi'],
    'an archive with a VMDK in it': [marked([0, 'disk.ovf']), 'vmdk', 'ova'],
  };
  for (const [what, [image, diskFormat, containerFormat]] of Object.entries(safe))
    it(`lets ${what} pass`, async () =>
      assert.equal(await dangersOf(image, diskFormat, containerFormat), ''));

  it('is not led past by a container that is no disk', async () => {
    assert.match(await dangersOf(qcow2({ backing: 'x' }), 'raw', 'docker'), /qcow2/);
    assert.match(await dangersOf(qcow2({ backing: 'x' }), 'qcow2', 'ovf'), /backing file/);
  });
});
