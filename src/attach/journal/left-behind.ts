import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readKeptSync } from '../../sys/files/kept-file.js';
import { parseJson } from './json.js';
import { parseRecord, attachedVolumeOf } from './record.js';
import { ATTACHMENTS, RECORD_BYTES } from './record-store.js';

/** An attachment that a state directory still has. */
export interface LeftBehind {
  /** Of the volume that is attached. */
  readonly volumeId: string;
  readonly attachmentId: string | undefined;
  readonly imageName: string;
}

/**
 * What is attached according to the journal in `stateDir`, without owning it: nothing is changed. What
 * cannot be read is left out; empty where there is no journal.
 */
export function leftBehind(stateDir: string): readonly LeftBehind[] {
  const directory = join(stateDir, ATTACHMENTS);
  return namesIn(directory).flatMap((name) => {
    const record = parseRecord(parseJson(textOf(join(directory, name))));
    if (record === undefined) return [];
    const { attachmentId, imageName } = record;
    return [{ volumeId: attachedVolumeOf(record), attachmentId, imageName }];
  });
}

/** For messages. */
export function describeLeftBehind({ volumeId, attachmentId, imageName }: LeftBehind): string {
  const image = imageName === '' ? '' : ` of image ${imageName}`;
  return `volume ${volumeId}${image} (attachment ${attachmentId ?? 'not known'})`;
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory).filter((name) => name.endsWith('.json') && !name.startsWith('.'));
  } catch {
    return [];
  }
}

function textOf(path: string): string {
  try {
    return readKeptSync(path, RECORD_BYTES)?.toString('utf8') ?? '';
  } catch {
    return '';
  }
}
