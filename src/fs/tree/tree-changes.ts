import type { Attributes, InvalidatedEntry } from '../contract/filesystem.js';
import { nodeIdOf } from './image-tree.js';
import type { DirectoryNode, ImageNode, ImageTree, TreeNode } from './image-tree.js';

/** Names of `before` that are gone from `after`, or mean something else now: what the kernel must not keep. */
export function changedEntries(before: ImageTree, after: ImageTree): InvalidatedEntry[] {
  const changed: InvalidatedEntry[] = [];
  for (const node of before.nodes.values()) {
    if (node.is !== 'directory') continue;
    const now = after.nodes.get(node.attributes.node);
    changed.push(...changedChildren(node, now?.is === 'directory' ? now : undefined));
  }
  return changed;
}

function changedChildren(before: DirectoryNode, after: DirectoryNode | undefined): InvalidatedEntry[] {
  const changed: InvalidatedEntry[] = [];
  for (const [name, child] of before.children) {
    const now = after?.children.get(name);
    if (now !== undefined && sameNode(child, now)) continue;
    changed.push({ parent: before.attributes.node, name, node: nodeIdOf(child) });
  }
  return changed;
}

function sameNode(a: TreeNode, b: TreeNode): boolean {
  if (a.is === 'status' || b.is === 'status') return nodeIdOf(a) === nodeIdOf(b);
  if (a.is === 'image' && b.is === 'image' && !sameContent(a, b)) return false;
  return a.is === 'directory' || sameAttributes(a.attributes, b.attributes);
}

/** Glance changes neither of an active image: where one differs, what was cached of it proves nothing. */
function sameContent({ image: a }: ImageNode, { image: b }: ImageNode): boolean {
  return a.volumeId === b.volumeId && a.hashValue === b.hashValue;
}

function sameAttributes(a: Attributes, b: Attributes): boolean {
  return a.node === b.node && a.size === b.size && a.modifiedMs === b.modifiedMs;
}
