/**
 * Which files a volume with snapshots consists of. A header says in what order they lie on one another, and nothing more:
 * a name that Cinder does not vouch for is not opened.
 */
import type { ConnectionInfo } from '../../../cinder/contract/attachments.js';
import type { ConnectRequest } from '../../connection/connector.js';
import { overlayOf, volumeFileOf } from '../../connection/volume-file.js';
import { formatOf, type VolumeFormat } from '../../connection/volume-format.js';
import { readQcow2, unsafe } from './qcow2-header.js';

/** Each takes a process; and QEMU gets slow long before. */
const MAX_FILES = 16;

export interface ChainFile {
  readonly name: string;
  readonly format: VolumeFormat;
}

/** The files of one volume, from the one that Cinder names down to the one that leads nowhere. */
export class SnapshotChain {
  readonly #base: string;
  /** Of the base, where Cinder says it. */
  readonly #baseFormat: unknown;
  /** What a header may lead to. */
  readonly #names: ReadonlySet<string>;
  readonly #compared: boolean;
  readonly #files: ChainFile[] = [];
  /** The file to be read next: of the whole chain the lowest that is known. */
  lowest: ChainFile;

  constructor({ info, snapshots = [], compared = false }: SnapshotFacts) {
    const { name, base, snapshot } = volumeFileOf(info);
    const below = snapshot === undefined ? [] : [base, ...snapshots.map((id) => overlayOf(base, id))];
    this.#base = base;
    this.#baseFormat = info.format;
    this.#names = new Set(below);
    this.#compared = compared;
    this.lowest = this.#take({ name, format: formatOf(info) });
  }

  /**
   * Takes up what `head`, the first bytes of the lowest file, says is below it. False where nothing is. `volume_unsafe`
   * where that is no file of this volume that Cinder knows.
   */
  extend(head: Buffer): boolean {
    if (this.lowest.format === 'raw') return false;
    const { backing } = readQcow2(head);
    if (backing === undefined) return false;
    const { name, format } = backing;
    if (!this.#names.has(name) || this.lowest.name === this.#base) throw strange(name, this.#names.size > 0);
    if (this.#files.some((file) => file.name === name))
      throw unsafe(`its files name one another in a circle, at ${name}`);
    if (this.#files.length === MAX_FILES)
      throw unsafe(`it is spread over more than ${MAX_FILES} files`, MERGE);
    const is = name === this.#base ? this.#formatOfBase(format) : overlayFormat(format);
    this.lowest = this.#take({ name, format: is });
    return true;
  }

  #take(file: ChainFile): ChainFile {
    this.#files.push(file);
    return file;
  }

  /**
   * The header repeats what qemu-img detected when the snapshot was made: a guess from the content, which may be an image
   * in qcow2 in a raw volume. Cinder until 2025.1 says what the base is; where it does not, the hash of the image decides.
   */
  #formatOfBase(said: string | undefined): VolumeFormat {
    if (said === 'raw') return 'raw';
    if (said !== 'qcow2') throw unsafe(`it does not say what format ${this.#base} has`);
    if (!this.#compared)
      throw unsafe(
        `whether ${this.#base} is qcow2 or holds an image that is, is known by no more than its content`,
        'Raise verify_limit if Glance has a hash of the image; else delete the snapshots of the volume in Cinder.',
      );
    return this.#baseFormat === 'raw' ? 'raw' : 'qcow2';
  }
}

type SnapshotFacts = Pick<ConnectRequest, 'snapshots' | 'compared'> & { readonly info: ConnectionInfo };

const MERGE = 'Delete snapshots of the volume in Cinder, or copy it to a new volume.';

function overlayFormat(said: string | undefined): VolumeFormat {
  if (said === 'qcow2') return 'qcow2';
  throw unsafe('it calls the file of a snapshot something else than qcow2');
}

function strange(name: string, hasSnapshots: boolean): Error {
  if (!hasSnapshots) return unsafe('its header names a backing file');
  const told = JSON.stringify(name.slice(0, 120));
  return unsafe(`its header leads to ${told}, which Cinder lists as no snapshot of this volume`, MERGE);
}
