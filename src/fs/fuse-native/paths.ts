import { ROOT_NODE } from '../contract/filesystem.js';
import type { Attributes, Filesystem } from '../contract/filesystem.js';

/** libfuse 2 speaks paths, the file system nodes: walks `path` (absolute, symlinks resolved by the kernel). */
export async function resolvePath(filesystem: Filesystem, path: string): Promise<Attributes> {
  const names = path.split('/').filter((name) => name !== '');
  const last = names.pop();
  if (last === undefined) return filesystem.getattr(ROOT_NODE);
  let parent = ROOT_NODE;
  for (const name of names) parent = (await filesystem.lookup(parent, name)).node;
  return filesystem.lookup(parent, last);
}
