import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

/** What a file of /proc or /sys says, trimmed; empty where it is not there or not ours to read. */
export function kernelText(path: string): Promise<string> {
  return readFile(path, 'utf8').then(
    (text) => text.trim(),
    () => '',
  );
}

/** The same at once, for a thread that may block. */
export function kernelTextSync(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}
