import type { WantedImage } from '../../cinder/contract/catalog.js';
import { nameOf } from './file-names.js';
import { ROOT_NODE } from '../contract/filesystem.js';
import { BY_NAME, type ImageTree, nodeIdOf } from './image-tree.js';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The image that an unknown `name` in the directory `parent` would be of; undefined where it can be none: what probes for
 * .Trash, .git or lost+found costs no question to the cloud.
 */
export function wantedBy(tree: ImageTree, parent: number, name: string): WantedImage | undefined {
  if (parent === ROOT_NODE) return UUID.test(name) ? { id: name } : undefined;
  const byName = tree.root.children.get(BY_NAME);
  if (byName === undefined || nodeIdOf(byName) !== parent) return undefined;
  const [, , id] = /^(.*)~([^~]*)$/s.exec(name) ?? [];
  if (id !== undefined && UUID.test(id)) return { id };
  // "debian~0a1b2c3d" is an image of that name, or one called debian that is not alone with it.
  const names = [name, ...(/^[0-9a-f]{8}$/.test(id ?? '') ? [name.slice(0, -9)] : [])].flatMap(
    (each) => nameOf(each) ?? [],
  );
  return names.length === 0 ? undefined : { names };
}
