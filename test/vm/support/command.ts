import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';

/** Runs a program of the guest to its end; its stdout. Throws with its stderr. */
export function sh(program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** The same for a program that takes its time, with `input` on its stdin. */
export async function ask(
  program: string,
  args: readonly string[],
  input: string,
): Promise<{ readonly status: number | null; readonly stdout: string; readonly stderr: string }> {
  const child = spawn(program, args, { stdio: 'pipe' });
  child.stdin.end(input);
  const [stdout, stderr, [status]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  return { status, stdout, stderr };
}

export function loadModules(...names: readonly string[]): void {
  sh('modprobe', '-a', ...names);
}

async function text(stream: AsyncIterable<unknown>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
