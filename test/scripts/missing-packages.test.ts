/** Which Debian packages `scripts/setup` takes for installed. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';

const SCRIPT = fileURLToPath(new URL('../../../scripts/missing-packages', import.meta.url));

const paragraph = (name: string, status: string, more = ''): string =>
  [
    `Package: ${name}`,
    `Status: ${status}`,
    'Version: 1',
    'Architecture: amd64',
    'Maintainer: x',
    'Description: x',
  ]
    .join('\n')
    .concat(more, '\n');

describe('scripts/missing-packages', () => {
  it('takes for installed what is installed, or provided by what is, as libfuse2 on Debian 13', async (t) => {
    const database = await temporaryFolder(t);
    const packages = [
      paragraph('fuse3', 'install ok installed'),
      paragraph('libfuse2t64', 'install ok installed', '\nProvides: libfuse-abi (= 2), libfuse2 (= 2.9.9-9)'),
      paragraph('fio', 'deinstall ok config-files', '\nProvides: librbd1'),
    ];
    await writeFile(path.join(database, 'status'), packages.join('\n'));
    const wanted = ['libfuse2', 'fuse3', 'fio', 'librbd1', 'qemu-utils'];
    const { stdout, stderr } = await run('bash', [SCRIPT, ...wanted], { DPKG_ADMINDIR: database });
    assert.deepEqual(stdout.trim().split('\n'), ['fio', 'librbd1', 'qemu-utils'], stderr);
  });
});
