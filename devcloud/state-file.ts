import { readFile, rename, writeFile } from 'node:fs/promises';

import { CinderfsError } from '../src/errors.js';
import type { Attachment, Cloud, Image, Snapshot, Volume } from './model.js';

interface State {
  readonly version: 1;
  readonly images: Image[];
  readonly volumes: Volume[];
  readonly attachments: Attachment[];
  /** Absent in a file of an older version. */
  readonly snapshots?: Snapshot[] | undefined;
}

/** DIR/state.json: the cloud's records, so that a restart keeps attachments and deletions. */
export class StateFile {
  readonly #path: string;
  readonly #cloud: Cloud;
  #saved = 0;
  #writing: Promise<void> | undefined;

  constructor(path: string, cloud: Cloud) {
    this.#path = path;
    this.#cloud = cloud;
  }

  /** Fills the empty cloud from the file, if there is one. Throws `config_invalid` when it is not ours. */
  async load(): Promise<void> {
    const text = await readFile(this.#path, 'utf8').catch(() => undefined);
    if (text === undefined) return;
    const state = parseState(text, this.#path);
    for (const image of state.images) this.#cloud.images.set(image.id, image);
    for (const volume of state.volumes) this.#cloud.volumes.set(volume.id, volume);
    for (const attachment of state.attachments) this.#cloud.attachments.set(attachment.id, attachment);
    for (const snapshot of state.snapshots ?? []) this.#cloud.snapshots.set(snapshot.id, snapshot);
  }

  /** Resolves when every change made before the call is on disk. Concurrent calls share writes. */
  async save(): Promise<void> {
    const wanted = this.#cloud.changes;
    while (this.#saved < wanted) {
      this.#writing ??= this.#write().finally(() => (this.#writing = undefined));
      await this.#writing;
    }
  }

  async #write(): Promise<void> {
    const saving = this.#cloud.changes;
    const state: State = {
      version: 1,
      images: [...this.#cloud.images.values()],
      volumes: [...this.#cloud.volumes.values()],
      attachments: [...this.#cloud.attachments.values()],
      snapshots: [...this.#cloud.snapshots.values()],
    };
    // A rename is all or nothing: after a kill the file has the old state or the new one.
    await writeFile(`${this.#path}.tmp`, JSON.stringify(state));
    await rename(`${this.#path}.tmp`, this.#path);
    this.#saved = saving;
  }
}

function parseState(text: string, path: string): State {
  try {
    const state = JSON.parse(text) as Partial<State>;
    if (state.version === 1) return state as State;
  } catch {
    // told below, with what to do
  }
  throw new CinderfsError('config_invalid', `${path} is not a devcloud state file`, {
    path,
    remedy: 'Remove it to start from the images alone.',
  });
}
