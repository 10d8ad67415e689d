import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const BENCH = fileURLToPath(new URL('../../bench/main.js', import.meta.url));

describe('npm run bench', { timeout: 120_000 }, () => {
  it('measures each way in which cinderfs serves a file', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'bench-'));
    t.after(() => rm(directory, { recursive: true }));
    const out = join(directory, 'figures.json');
    const part = [
      '--backings=file',
      '--servers=engine,engine-passthrough,engine-nbd',
      '--metrics=first-byte',
    ];

    await promisify(execFile)(process.execPath, [
      BENCH,
      '--quick',
      '--repetitions=1',
      `--out=${out}`,
      ...part,
    ]);

    const { rows } = JSON.parse(await readFile(out, 'utf8')) as { rows: { server: string }[] };
    assert.deepEqual(
      rows.map((row) => row.server),
      ['direct', 'engine', 'engine-passthrough', 'engine-nbd'],
    );
  });
});
