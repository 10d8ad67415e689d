/** File names for images: whatever Glance calls an image becomes one legal, distinct and stable name. */
import { createHash } from 'node:crypto';

/** NAME_MAX of Linux, in bytes of UTF-8. */
export const NAME_MAX = 255;

/** What a name is made from. */
export interface Named {
  readonly id: string;
  readonly name: string;
  /** When the image was made: the oldest keeps its name. */
  readonly createdAt?: Date | undefined;
}

/**
 * The file name of every image, by image id. A function of the set alone, so that every host and every restart
 * derives the same names.
 *
 * Of images that share an (encoded) name the oldest has it, so that no later image, of any user, takes a name
 * away or comes to stand behind it while the older one is listed. The others, and names that had to be cut, end in
 * `~<first 8 of the id>`; where that is taken (ids that begin alike, an image literally called `debian~0a1b2c3d`) again
 * the oldest keeps it and the others end in `~<whole id>`, before which every other claim yields.
 */
export function assignFileNames(images: Iterable<Named>): Map<string, string> {
  const claims = Array.from(images)
    .sort(byAge)
    .map((image) => new Claim(image));
  let contested = contestedClaims(claims);
  while (contested.length > 0) {
    for (const claim of contested) claim.yield();
    contested = contestedClaims(claims);
  }
  return new Map(claims.map((claim) => [claim.id, claim.fileName]));
}

/** `name` as one path component: the encoding is injective, and never empty unless the name is. */
export function encodeName(name: string): string {
  return PLAIN.test(name) ? name : encodeUnits(name).join('');
}

/** The image name that `fileName` encodes; undefined when encodeName() makes no such file name. */
export function nameOf(fileName: string): string | undefined {
  try {
    const name = decodeURIComponent(fileName);
    return name !== '' && encodeName(name) === fileName ? name : undefined;
  } catch {
    // No UTF-8: a name with half a surrogate pair cannot be asked for.
    return undefined;
  }
}

/** Oldest first; those of one moment by id, which is the same on every host. */
function byAge(a: Named, b: Named): number {
  const age = (a.createdAt?.getTime() ?? 0) - (b.createdAt?.getTime() ?? 0);
  return age === 0 ? Number(a.id > b.id) - Number(a.id < b.id) : age;
}

/** Claims on a file name that another claim keeps: one that has no longer form, else the oldest. */
function contestedClaims(claims: readonly Claim[]): Claim[] {
  const keepers = new Map<string, Claim>();
  for (const claim of claims) {
    const keeper = keepers.get(claim.fileName);
    if (keeper === undefined || (keeper.canYield && !claim.canYield)) keepers.set(claim.fileName, claim);
  }
  return claims.filter((claim) => keepers.get(claim.fileName) !== claim && claim.canYield);
}

/** One image's claim on a name, in up to three forms of growing length: plain, short suffix, whole suffix. */
class Claim {
  readonly id: string;
  fileName: string;
  readonly #name: string;
  /** Suffixes it can still yield to. */
  #suffixes: readonly string[] | undefined;

  constructor({ id, name }: Named) {
    this.id = id;
    this.#name = name;
    this.fileName = encodeName(name);
    if (this.fileName === '' || !fits(this.fileName)) this.yield();
  }

  get canYield(): boolean {
    return this.#suffixes?.length !== 0;
  }

  /** Moves on to the next longer form. */
  yield(): void {
    const [suffix, ...longer] = this.#suffixes ?? suffixesOf(this.id);
    this.#suffixes = longer;
    if (suffix !== undefined) this.fileName = cut(encodeUnits(this.#name), NAME_MAX - suffix.length) + suffix;
  }
}

/** Nearly every name is short enough to say so without counting bytes: a UTF-16 unit is at most three of them. */
function fits(fileName: string): boolean {
  return fileName.length * 3 <= NAME_MAX || Buffer.byteLength(fileName) <= NAME_MAX;
}

function suffixesOf(id: string): string[] {
  const tag = suffixTag(id);
  return [`~${tag.slice(0, 8)}`, `~${tag}`];
}

/** The id where it is safe as a suffix (every UUID is): ASCII, short and free of `~`, so that the last `~` parts name from id. */
function suffixTag(id: string): string {
  return /^[0-9A-Za-z-]{1,64}$/.test(id) ? id : createHash('sha256').update(id).digest('hex');
}

/** As many whole units as fit in `bytes`: neither a code point nor a `%XX` is cut in two. */
function cut(units: readonly string[], bytes: number): string {
  let room = bytes;
  let count = 0;
  for (const unit of units) {
    room -= Buffer.byteLength(unit);
    if (room < 0) break;
    count += 1;
  }
  return units.slice(0, count).join('');
}

/** What most names look like: printable ASCII without the escape, not beginning with a dot. */
const PLAIN = /^(?!\.)[ -$&-.0-~]*$/;

/**
 * '/' cannot be in a name, '%' is the escape. Control characters (C0, DEL, C1) and line separators break terminals and
 * scripts; what turns the direction of text, and what is not seen at all, makes one name look like another.
 */
const UNSAFE = /[/%\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;

/** One string per code point, percent-encoded where it must be; a leading dot too: `.`, `..` and hidden files. */
function encodeUnits(name: string): string[] {
  return Array.from(name, (unit, index) => {
    const loneSurrogate = unit.length === 1 && unit >= '\ud800' && unit <= '\udfff';
    if (loneSurrogate) return percent(surrogateBytes(unit));
    if (UNSAFE.test(unit) || (index === 0 && unit === '.')) return percent(Buffer.from(unit));
    return unit;
  });
}

function percent(bytes: Iterable<number>): string {
  return Array.from(bytes, (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');
}

/** Three bytes as UTF-8 would have them if it allowed surrogates (WTF-8). */
function surrogateBytes(unit: string): number[] {
  const code = unit.charCodeAt(0);
  return [0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)];
}
