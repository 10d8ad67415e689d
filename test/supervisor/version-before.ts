import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { run } from '../support/program.js';

const COMMIT = '723163f';
const INSTALL = ['ci', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
/** What it calls itself here. */
export const VERSION_BEFORE = '0.1.0-before';

/**
 * The program of the version before, built from the history of `repository`, once per working copy; undefined where the
 * history does not have it, or its packages cannot be had.
 */
export async function versionBefore(repository: string): Promise<string | undefined> {
  const known = await run('git', ['-C', repository, 'cat-file', '-e', `${COMMIT}^{commit}`]);
  if (known.status !== 0) return undefined;
  const cache = path.join(repository, 'node_modules', '.cache');
  const tree = path.join(cache, `cinderfs-${COMMIT}`);
  if (existsSync(tree)) return tree;
  await mkdir(cache, { recursive: true });
  const building = await mkdtemp(`${tree}-`);
  try {
    await unpack(repository, building);
    // Of its own: today's program may do without a package that it needs.
    if ((await run('npm', [...INSTALL, '--prefix', building], process.env)).status !== 0) return undefined;
    await compile(building);
    await nameVersion(building);
    await rename(building, tree);
  } finally {
    await rm(building, { recursive: true, force: true });
  }
  return tree;
}

async function unpack(repository: string, into: string): Promise<void> {
  const git = spawn('git', ['-C', repository, 'archive', COMMIT], { stdio: ['ignore', 'pipe', 'inherit'] });
  const tar = spawn('tar', ['-x', '-C', into], { stdio: [git.stdout, 'inherit', 'inherit'] });
  const [status] = (await once(tar, 'exit')) as [number | null];
  if (status !== 0) throw new Error(`tar ended with ${status ?? '?'}`);
}

/** Its version is the same as today's: status must be able to tell which of the two serves. */
async function nameVersion(tree: string): Promise<void> {
  const file = path.join(tree, 'package.json');
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replace(/("version": ")[^"]*/, `$1${VERSION_BEFORE}`));
}

async function compile(tree: string): Promise<void> {
  const tsc = path.join(tree, 'node_modules', 'typescript', 'bin', 'tsc');
  const { status, stdout } = await run(process.execPath, [tsc, '--build', tree]);
  if (status !== 0) throw new Error(stdout);
}
