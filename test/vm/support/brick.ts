import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ask } from './command.js';

const BRICK = fileURLToPath(new URL('../../../../bin/cinderfs-brick', import.meta.url));
export const LOCK_DIRECTORY = '/run/nova-locks';

export interface BrickAnswer {
  readonly path?: string;
  readonly size?: number;
  readonly diskseq?: string;
  readonly paths?: readonly string[];
  readonly ids?: readonly string[];
  readonly error?: { readonly code: string; readonly message: string };
  readonly [key: string]: unknown;
}

/** One step of cinderfs-brick, as the connector runs it; throws when it did not answer at all. */
export async function brick(
  verb: 'connector' | 'connect' | 'disconnect' | 'check',
  request: Readonly<Record<string, unknown>>,
): Promise<BrickAnswer> {
  mkdirSync(LOCK_DIRECTORY, { recursive: true });
  const whole = { host: 'guest', ip: '127.0.0.1', lock_directories: [LOCK_DIRECTORY], ...request };
  const { stdout, stderr, status } = await ask(BRICK, [verb], JSON.stringify(whole));
  if (stdout === '') throw new Error(`cinderfs-brick ${verb} ended with ${String(status)}: ${stderr}`);
  if (stderr !== '') process.stderr.write(stderr);
  return JSON.parse(stdout) as BrickAnswer;
}
