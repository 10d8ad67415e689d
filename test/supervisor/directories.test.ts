/** Directories that cannot be used are said at once, by the name of the setting; no start waits for them. */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { it } from 'node:test';
import { LAUNCHER, run } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

const SETTINGS = {
  CINDERFS_STATE_DIR: 'state_dir',
  CINDERFS_RUN_DIR: 'run_dir',
  CINDERFS_LOG_FILE: 'log_file',
};
const BAD = {
  'below /proc': () => '/proc/cinderfs/here',
  'below a file': (dir: string) => path.join(dir, 'file', 'here'),
};

for (const [variable, setting] of Object.entries(SETTINGS))
  for (const [name, where] of Object.entries(BAD))
    it(`${setting} ${name}`, { timeout: 60_000 }, async (t) => {
      const dir = await temporaryFolder(new Undo(t));
      await mkdir(path.join(dir, 'images'));
      await writeFile(path.join(dir, 'file'), '');
      const env = {
        CINDERFS_STATE_DIR: path.join(dir, 'state'),
        CINDERFS_RUN_DIR: path.join(dir, 'run'),
        CINDERFS_LOG_FILE: path.join(dir, 'log'),
        [variable]: where(dir),
      };
      const words = [process.execPath, LAUNCHER, 'mount', path.join(dir, 'images'), '--background'];
      const { status, stderr } = await run('timeout', ['-s', 'KILL', '20', ...words], env);
      assert.equal(status, 3, stderr);
      assert.match(stderr, new RegExp(`${setting} = .* cannot be .*\\[path_unusable\\]`));
    });
