import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { readOwner } from '../../../src/attach/journal/owner.js';
import { RequestAges } from '../../../src/fs/fuse/recovery/request-ages.js';
import { nameProcess } from '../../../src/sys/processes/process-name.js';
import { SupervisorFile } from '../../../src/supervisor/supervisor-file.js';
import { temporaryFolder } from '../../support/temporary.js';
import type { Target } from '../target.js';

const self = nameProcess(process.pid);

/** Who owns a state directory, who supervises a mount, since when requests are held. */
export const smallFiles: Target = {
  name: 'small-files',
  seeds: [
    Buffer.from(JSON.stringify({ pid: process.ppid, mountpoint: '/images', startTime: '123' })),
    Buffer.from(JSON.stringify({ pid: self?.pid, started: self?.started })),
    Buffer.from('2 100\n4 200\n18446744073709551615 99999999999999999999\n'),
  ],
  words: ['"pid":', '"started":', '"mountpoint":', ' ', '\n', '9'.repeat(40), '0', '-1', '1.5'],
  async open(undo) {
    const folder = await temporaryFolder(undo);
    mkdirSync(path.join(folder, 'mount'));
    const names = ['owner.json', 'mount/supervisor', 'held-since'].map((name) => path.join(folder, name));
    const [owner = '', supervisor = '', held = ''] = names;
    return (input) => {
      for (const name of names) writeFileSync(name, input);
      const found = readOwner(owner);
      if (found !== undefined && (typeof found.mountpoint !== 'string' || found.pid < 1))
        throw new Error('an owner of any kind');
      const process = new SupervisorFile(path.dirname(supervisor)).read();
      if (process !== undefined && process.pid < 2)
        throw new Error(`process ${process.pid} would be signalled`);
      const age = new RequestAges(held, () => 1_000_000).age(2n);
      if (!Number.isFinite(age) || age < 0) throw new Error(`an age of ${age}`);
    };
  },
};
