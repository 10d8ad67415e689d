import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { hostProperties } from '../../src/attach/host/host-properties.js';
import { type AttachmentRecord, parseRecord } from '../../src/attach/journal/record.js';
import { RecordStore } from '../../src/attach/journal/record-store.js';
import { silentLog } from '../../src/log.js';

const RECORD: AttachmentRecord = {
  version: 1,
  volumeId: '1e035fa6-7d97-400f-aa2d-cea1d44e4461',
  imageId: 'image',
  imageName: 'name',
  imageSize: 1,
  multiattach: true,
  step: 'reserve',
  since: 0,
  before: [],
  answered: false,
};

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cinderfs-state-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe('the journal on disk', () => {
  const open = (): Promise<RecordStore<AttachmentRecord>> =>
    RecordStore.open({ directory, parse: parseRecord, keyOf: ({ volumeId }) => volumeId, log: silentLog });

  it('has after a restart what was written, and not what was removed', async () => {
    const store = await open();
    await store.write(RECORD);
    await store.write({ ...RECORD, step: 'export', attachmentId: 'a' });
    await store.write({ ...RECORD, volumeId: 'other' });
    await store.remove('other');
    assert.deepEqual((await open()).list(), [{ ...RECORD, step: 'export', attachmentId: 'a' }]);
  });

  it('keeps the old record when a crash cuts the write of a new one', async () => {
    await (await open()).write(RECORD);
    await writeFile(join(directory, `.${RECORD.volumeId}.new`), '{"version":1,"vol');
    assert.deepEqual((await open()).get(RECORD.volumeId), RECORD);
    assert.deepEqual(await readdir(directory), [`${RECORD.volumeId}.json`]);
  });

  it('moves an unreadable record aside instead of losing it', async () => {
    await writeFile(join(directory, 'broken.json'), '{');
    assert.deepEqual((await open()).list(), []);
    assert.deepEqual(await readdir(directory), ['broken.json.unreadable']);
  });

  it('refuses a key that is a path', async () => {
    await assert.rejects((await open()).write({ ...RECORD, volumeId: '../escape' }), {
      code: 'journal_failed',
    });
  });

  it('says that the directory cannot be used', async () => {
    await writeFile(join(directory, 'file'), '');
    const options = { parse: parseRecord, keyOf: () => 'k', log: silentLog };
    await assert.rejects(RecordStore.open({ ...options, directory: join(directory, 'file') }), {
      code: 'journal_failed',
    });
  });
});

describe('what the host says about itself', () => {
  it('follows nova.conf, and the initiator name of the host', async () => {
    const novaConf = join(directory, 'nova.conf');
    const initiatorFile = join(directory, 'initiatorname.iscsi');
    const nova = [
      '[DEFAULT]',
      'host = cmp1',
      'my_ip = 192.0.2.7',
      'my_block_storage_ip = $my_ip',
      '[api]',
      'host = no',
    ];
    await writeFile(novaConf, nova.join('\n'));
    await writeFile(initiatorFile, '## comment\nInitiatorName=iqn.1993-08.org.debian:01:abc\n');
    const said = await hostProperties({ stateDir: directory, mountId: 'm1', novaConf, initiatorFile });
    assert.equal(said.host, 'cmp1');
    assert.equal(said.ip, '192.0.2.7');
    assert.equal(said.initiator, 'iqn.1993-08.org.debian:01:abc');
    assert.equal(said.mountpoint, 'cinderfs:cmp1:m1');
  });

  it('has an initiator name of its own for ever where the host has none', async () => {
    const absent = join(directory, 'absent');
    const identity = { stateDir: directory, mountId: 'm', novaConf: absent, initiatorFile: absent };
    const first = await hostProperties(identity);
    assert.match(first.initiator, /^iqn\./);
    assert.equal((await hostProperties(identity)).initiator, first.initiator);
    assert.equal((await readFile(join(directory, 'initiatorname'), 'utf8')).trim(), first.initiator);
  });
});
