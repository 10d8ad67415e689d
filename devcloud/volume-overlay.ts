/** The files of a volume with snapshots: each holds what was written since its snapshot, and names the file below. */

import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { promisify } from 'node:util';

import type { Volume } from './model.js';
import { formatOf } from './volume-file.js';

const run = promisify(execFile);

/** The file that is written to. */
export function activePathOf({ path, active }: Volume): string {
  return active === undefined ? path : `${path}.${active}`;
}

/** Puts a file on top of the active one. Needs qemu-img. */
export async function addOverlay(volume: Volume, snapshotId: string): Promise<void> {
  const below = activePathOf(volume);
  const overlay = `${volume.path}.${snapshotId}`;
  // As Cinder does: what the content looks like, for the format of what is below.
  const names = ['-b', basename(below), '-F', await formatOf(below), overlay];
  await run('qemu-img', ['create', '-q', '-u', '-f', 'qcow2', ...names, `${volume.sizeGib}G`]);
}

/** Merges the file of a snapshot into the one below; answers with the snapshot whose file is active then. */
export async function mergeOverlay(
  volume: Volume,
  snapshotId: string,
  others: readonly string[],
): Promise<string | undefined> {
  const overlay = `${volume.path}.${snapshotId}`;
  const below = await belowOf(overlay, volume.path);
  await run('qemu-img', ['commit', '-q', '-d', overlay]);
  for (const other of others) {
    const above = `${volume.path}.${other}`;
    if ((await belowOf(above, volume.path)) !== overlay) continue;
    await run('qemu-img', ['rebase', '-u', '-b', basename(below), '-F', await formatOf(below), above]);
  }
  await rm(overlay, { force: true });
  if (volume.active !== snapshotId) return volume.active;
  return others.find((other) => below === `${volume.path}.${other}`);
}

async function belowOf(overlay: string, base: string): Promise<string> {
  const { stdout } = await run('qemu-img', ['info', '--output=json', overlay]);
  const name = (JSON.parse(stdout) as { 'backing-filename'?: string })['backing-filename'];
  return base.replace(/[^/]*$/, name ?? '');
}
