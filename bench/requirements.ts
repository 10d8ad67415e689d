import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { Requirement } from './servers/server.js';

/** Those of the programs that are not on the PATH. */
export async function findMissing(needs: readonly Requirement[]): Promise<readonly Requirement[]> {
  const found = await Promise.all(needs.map(({ command }) => isOnPath(command)));
  return needs.filter((_, index) => found[index] !== true);
}

async function isOnPath(command: string): Promise<boolean> {
  const directories = (process.env.PATH ?? '').split(delimiter);
  const tries = directories.map((directory) => access(join(directory, command), constants.X_OK));
  return (await Promise.allSettled(tries)).some(({ status }) => status === 'fulfilled');
}
