import { ask } from './command.js';

/** The sha256 of a file as another process reads it. A process that serves a mount must never wait for its own reads. */
export async function sha256By(path: string): Promise<string> {
  const { status, stdout, stderr } = await ask('sha256sum', [path], '');
  if (status !== 0) throw new Error(stderr.trim());
  return stdout.split(' ')[0] ?? '';
}
