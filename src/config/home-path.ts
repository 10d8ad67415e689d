import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { resolve } from 'node:path';

/** An absolute path: `~` and `~user` are homes, as in a shell, anything relative starts at `directory`. */
export function homePath(path: string, directory: string, home = homedir()): string {
  const [, user, rest = ''] = /^~([^/]*)(.*)$/s.exec(path) ?? [];
  if (user === undefined) return resolve(directory, path);
  const base = user === '' ? home : homeOf(user);
  return base === undefined ? resolve(directory, path) : resolve(base, `.${rest}`);
}

function homeOf(user: string): string | undefined {
  for (const line of readFileSync('/etc/passwd', 'utf8').split('\n')) {
    const [name, , , , , home] = line.split(':');
    if (name === user && home !== undefined && home !== '') return home;
  }
  return undefined;
}
