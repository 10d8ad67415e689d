import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../support/temporary.js';

const MODULES = fileURLToPath(new URL('../../../bin', import.meta.url));
const TARGET = '500a098280feeba5';
const OTHER_TARGET = '500a098280feeba6';

/**
 * What FCoE in the VM cannot show: a host with two adapters and two fabrics, as sysfs has it. Port 0 of each remote host
 * is the array's, port 1 another array's; rport-3:0-1 has logged out.
 */
const TREE: Readonly<Record<string, string>> = {
  'class/fc_remote_ports/rport-2:0-0/port_name': `0x${TARGET}`,
  'class/fc_remote_ports/rport-2:0-0/scsi_target_id': '0',
  'class/fc_remote_ports/rport-2:0-1/port_name': '0x21000024ff30441c',
  'class/fc_remote_ports/rport-2:0-1/scsi_target_id': '1',
  'class/fc_remote_ports/rport-3:0-0/port_name': `0x${OTHER_TARGET.toUpperCase()}`,
  'class/fc_remote_ports/rport-3:0-0/scsi_target_id': '4',
  'class/fc_remote_ports/rport-3:0-1/port_name': `0x${TARGET}`,
  'class/fc_remote_ports/rport-3:0-1/scsi_target_id': '-1',
  'class/fc_transport/target2:0:0/port_name': `0x${TARGET}`,
  'class/fc_transport/target2:0:0/device/2:0:0:1/block/sdb/dev': '8:16',
  'class/fc_transport/target2:0:0/device/2:0:0:16640/block/sdc/dev': '8:32',
  'class/fc_transport/target2:0:1/port_name': '0x21000024ff30441c',
  'class/fc_transport/target2:0:1/device/2:0:1:1/block/sdd/dev': '8:48',
  'class/fc_transport/target3:0:4/port_name': `0x${OTHER_TARGET}`,
  'class/fc_transport/target3:0:4/device/3:0:4:1/block/sde/dev': '8:64',
  'class/scsi_host/host2/scan': '',
  'class/scsi_host/host3/scan': '',
  'class/block/sdb/holders/dm-3/dev': '253:3',
  'class/block/sde/holders/dm-3/dev': '253:3',
};

async function handWritten(test: TestContext): Promise<string> {
  const root = await temporaryFolder(test);
  for (const [path, text] of Object.entries(TREE)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), `${text}\n`);
  }
  return root;
}

/** What an expression over brick.host answers on that host. */
function ask(root: string, expression: string, connection: object): unknown {
  const code = `
import json, sys
sys.path.insert(0, ${JSON.stringify(MODULES)})
from brick import host
host.SYS = ${JSON.stringify(root)}
print(json.dumps(host.${expression.replace('CONNECTION', `json.loads(${JSON.stringify(JSON.stringify(connection))})`)}))
`;
  return JSON.parse(execFileSync('/usr/bin/python3', ['-I', '-c', code], { encoding: 'utf8' })) as unknown;
}

const connection = (more: object): object => ({ driver_volume_type: 'fibre_channel', ...more });

describe('Fibre Channel on a hand-written sysfs tree', () => {
  it('finds the disks of a volume on every fabric, and no other', async (test) => {
    const root = await handWritten(test);
    const both = connection({ target_wwn: [TARGET, OTHER_TARGET.toUpperCase()], target_lun: 1 });
    assert.deepEqual(ask(root, 'block_devices(CONNECTION)', both), ['sdb', 'sde']);
    assert.deepEqual(ask(root, "holders_of(['sdb', 'sde'])", {}), ['dm-3']);
    assert.deepEqual(
      ask(root, 'block_devices(CONNECTION)', connection({ target_wwn: TARGET, target_lun: 2 })),
      [],
    );
  });

  it('knows a LUN from 256 by its flat address', async (test) => {
    const root = await handWritten(test);
    const high = connection({ target_wwns: [TARGET], target_luns: [256] });
    assert.deepEqual(ask(root, 'block_devices(CONNECTION)', high), ['sdc']);
  });

  it('scans for its own LUN at its own targets alone, and asks no port that has logged out', async (test) => {
    const root = await handWritten(test);
    const volume = connection({ target_wwns: [TARGET, OTHER_TARGET], target_luns: [7] });
    ask(root, 'scan_fc(CONNECTION)', volume);
    assert.equal(await readFile(join(root, 'class/scsi_host/host2/scan'), 'utf8'), '0 0 7');
    assert.equal(await readFile(join(root, 'class/scsi_host/host3/scan'), 'utf8'), '0 4 7');
  });
});
