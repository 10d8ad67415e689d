import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { OsloConf } from '../../src/attach/host/oslo-conf.js';
import { temporaryFolder } from '../support/temporary.js';

const TEXT = String.raw`[DEFAULT]
my_ip = "192.0.2.7"
base = $state_path/base
price = \$5 or $$6
round = <$trip>
trip = ($round)
[Paths]
locks=\$state_path/no
locks: ${'${base}'}/$DEFAULT.my_ip/$nothing
many = a
  b
x1 = $many
[broken
locks = /of/no/section
[paths]
on = Yes
off = 0
odd = maybe
`;

it("finds the values of a service's file as oslo.config does", async (test) => {
  const path = join(await temporaryFolder(test), 'service.conf');
  await writeFile(path, TEXT);
  const conf = await OsloConf.read(path, { state_path: '/var/lib/service' });
  assert.equal(conf.get('DEFAULT', 'my_ip'), '192.0.2.7');
  assert.equal(conf.get('paths', 'locks'), '/var/lib/service/base/192.0.2.7/');
  assert.equal(conf.get('paths', 'x1'), 'a\nb');
  assert.equal(conf.get('DEFAULT', 'price'), '$5 or $6');
  assert.equal(conf.get('DEFAULT', 'round'), '<()>');
  assert.deepEqual(
    ['on', 'off', 'odd', 'none'].map((name) => conf.flag('paths', name)),
    [true, false, undefined, undefined],
  );
});
