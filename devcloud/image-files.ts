/** The files in DIR/images: which there are, and what each says about the image it is. */

import { readdir, readFile, stat } from 'node:fs/promises';
import { join, parse } from 'node:path';

import { CinderfsError, reasonOf } from '../src/errors.js';
import { parseImageSpec, type ImageSpec } from './image-spec.js';

/** A file that is an image. */
export interface ImageFile {
  readonly path: string;
  /** Name in the directory, with its extension. */
  readonly name: string;
  /** Changes whenever the file or its sidecar does. */
  readonly fingerprint: string;
  /** Path of `NAME.json`, if there is one. */
  readonly sidecar: string | undefined;
}

/** Files that begin with a dot or end in `.part` or `.tmp` are still being written: they do not count. */
export async function findImageFiles(dir: string): Promise<Map<string, ImageFile>> {
  const names = (await readdir(dir)).filter((name) => !/^\.|\.(part|tmp)$/.test(name)).toSorted();
  const sidecars = new Set(names.filter((name) => name.endsWith('.json')));
  const found = new Map<string, ImageFile>();
  for (const name of names) {
    if (sidecars.has(name)) continue;
    const path = join(dir, name);
    const sidecarName = `${parse(name).name}.json`;
    const sidecar = sidecars.has(sidecarName) ? join(dir, sidecarName) : undefined;
    const prints = await Promise.all([path, sidecar].map(fingerprint));
    if (prints[0] !== '')
      found.set(name, { path, name, sidecar, fingerprint: `${name}:${prints.join(':')}` });
  }
  return found;
}

/** Name and format from the file's name, the rest from the sidecar, which wins. Throws `config_invalid`. */
export async function specOf(file: ImageFile): Promise<ImageSpec> {
  return {
    ...specFromName(file.name),
    ...(file.sidecar === undefined ? {} : await readSidecar(file.sidecar)),
  };
}

/** `web.qcow2` is the image `web` of format qcow2; without an extension, or with `.img`, it is raw. */
export function specFromName(fileName: string): ImageSpec {
  const { name, ext } = parse(fileName);
  return { name, diskFormat: ext === '' || ext === '.img' ? 'raw' : ext.slice(1) };
}

async function readSidecar(path: string): Promise<ImageSpec> {
  try {
    return parseImageSpec(await readFile(path, 'utf8'));
  } catch (error) {
    const message = `${path} is not an image spec: ${reasonOf(error)}`;
    throw new CinderfsError('config_invalid', message, { path, cause: error });
  }
}

/** Empty for what is not a regular file, or is gone by now. */
async function fingerprint(path: string | undefined): Promise<string> {
  if (path === undefined) return '';
  try {
    const { size, mtimeMs, ino } = await stat(path);
    return `${size}-${mtimeMs}-${ino}`;
  } catch {
    return '';
  }
}
