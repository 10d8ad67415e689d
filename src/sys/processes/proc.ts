import { readdirSync } from 'node:fs';
import { kernelText } from '../files/kernel-text.js';

/** The processes that this one may see. */
export function allPids(): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** The name of the command that `pid` runs, 15 characters at most; `unknown` when it is gone. */
export async function commandName(pid: number): Promise<string> {
  return (await kernelText(`/proc/${pid}/comm`)) || 'unknown';
}
