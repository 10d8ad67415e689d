import { readFile, readlink } from 'node:fs/promises';
import { basename } from 'node:path';
import { allPids } from './proc.js';

/**
 * True when process `pid` is one we started: one of `uids` runs it (our own, by default), its executable is called
 * `program`, and `argument` is among its arguments. Arguments alone prove nothing: each process writes its own.
 */
export async function runs(
  pid: number,
  program: string,
  argument: string,
  uids: readonly number[] = [process.getuid?.() ?? 0],
): Promise<boolean> {
  try {
    const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
    if (!argv.slice(1).includes(argument)) return false;
    // An upgrade of its package replaces the file, and " (deleted)" is appended.
    const executable = (await readlink(`/proc/${pid}/exe`)).replace(/ \(deleted\)$/, '');
    if (basename(executable) !== program) return false;
    return (await uidsOf(pid)).every((uid) => uids.includes(uid));
  } catch {
    return false;
  }
}

/** Processes that run `program` with `argument`: how one of ours is found again after a crash, whatever its pid. */
export async function findProcesses(
  program: string,
  argument: string,
  uids?: readonly number[],
): Promise<readonly number[]> {
  const found = await Promise.all(
    allPids().map(async (pid) => ((await runs(pid, program, argument, uids)) ? [pid] : [])),
  );
  return found.flat();
}

/** Real, effective, saved and file system uid. Not the owner of /proc/PID: that is root for a process that has dropped privileges. */
async function uidsOf(pid: number): Promise<readonly number[]> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const [, uids = ''] = /^Uid:\s+(.*)$/m.exec(status) ?? [];
  return uids === '' ? [-1] : uids.split(/\s+/).map(Number);
}
