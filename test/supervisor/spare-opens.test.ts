/** Files whose opens workers answered (shared-opens.ts) outlive the engine that answered them, and end with their last close. */
import assert from 'node:assert/strict';
import { open, readdir, readFile, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { it } from 'node:test';
import { engineOf } from '../support/engines.js';
import { eventually } from '../support/eventually.js';
import { endsClean, supervisedWorld } from './world.js';

const cannotMount = process.getuid?.() === 0 ? false : 'mounting needs root';
const PIECE = 4096;

/** Opens by workers that the journal below `run` knows of: they note the number of their request with all its digits. */
async function byWorkers(run: string): Promise<number> {
  const files = (await readdir(run, { recursive: true })).filter(
    (name) => path.basename(name) === 'open-files',
  );
  const texts = await Promise.all(files.map((name) => readFile(path.join(run, name), 'utf8')));
  return texts.join('').match(/"unique":"0\d{19}"/g)?.length ?? 0;
}

async function pieceOf(handle: FileHandle, at: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(PIECE), 0, PIECE, at * PIECE);
  return buffer.subarray(0, bytesRead);
}

for (const passthrough of [false, true])
  it(
    `what workers opened is open after a kill, ${passthrough ? 'passed through' : 'read by workers'}`,
    { skip: cannotMount },
    async (t) => {
      const args = passthrough ? [] : ['--no-passthrough'];
      const world = await supervisedWorld(t, args, passthrough ? { volumeBytes: 'exact' } : {});
      const { file, source } = world.target;
      const handles: FileHandle[] = [];
      world.undo.after(() => Promise.all(handles.map((handle) => handle.close().catch(() => undefined))));
      await eventually('workers have answered opens', async () => {
        for (let count = 0; count < 8; count += 1) handles.push(await open(file));
        return (await byWorkers(path.join(world.dir, 'run'))) >= 4 ? true : undefined;
      });
      // Some are closed again, the older ones, whose file those that workers opened share, among them.
      await Promise.all(handles.splice(0, 3).map((handle) => handle.close()));
      const engine = await engineOf(world.mounted.child.pid ?? 0);
      process.kill(engine ?? 0, 'SIGKILL');
      const truth = await open(source);
      try {
        for (const [at, handle] of handles.entries())
          assert.deepEqual(await pieceOf(handle, at), await pieceOf(truth, at), `file ${at}`);
      } finally {
        await truth.close();
      }
      await eventually('another engine serves', async () => {
        const status = await world.mounted.status().catch(() => undefined);
        return status?.state === 'serving' && status.engine_pid !== engine ? true : undefined;
      });
      await Promise.all(handles.splice(0).map((handle) => handle.close()));
      await endsClean(world);
    },
  );
