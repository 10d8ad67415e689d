import { spawn } from 'node:child_process';

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Kills the command; the run then rejects. */
  readonly signal?: AbortSignal | undefined;
}

export interface CommandOutput {
  readonly stdout: string;
  readonly stderr: string;
  /** Wall time from spawn to exit. */
  readonly seconds: number;
}

/** Runs a command to its end, with messages in English. Rejects, with what it said, unless it exits 0. */
export async function run(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandOutput> {
  const began = performance.now();
  const child = spawn(command, args, {
    env: { ...process.env, ...options.env, LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: options.signal,
  });
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text));
  const status = await new Promise<string | number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'unknown'));
  });
  if (status !== 0) {
    // fio tells its troubles on stdout, before its report.
    const why = said.stderr.trim() === '' ? said.stdout.slice(0, 300) : said.stderr.slice(-2000);
    throw new Error(`${[command, ...args].join(' ')}: ended with ${status}: ${why.trim()}`);
  }
  return { ...said, seconds: (performance.now() - began) / 1000 };
}
