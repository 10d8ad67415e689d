/**
 * The tree of one catalog snapshot: built once per generation, then every lookup, stat and listing is a map access.
 *
 *   /<image-id>            the image
 *   /by-name/<name>        symlink to ../<image-id>
 *   /.cinderfs/status      the daemon's status as JSON; the directory is not listed
 */
import type { CatalogImage, CatalogSnapshot } from '../../cinder/contract/catalog.js';
import { directoryAttributes, imageAttributes, symlinkAttributes, type Ownership } from './attributes.js';
import { assignFileNames } from './file-names.js';
import { ROOT_NODE, type Attributes, type DirectoryEntry } from '../contract/filesystem.js';
import { assignNodeIds } from './node-ids.js';

export type TreeNode = DirectoryNode | ImageNode | SymlinkNode | VirtualNode;

export interface DirectoryNode {
  readonly is: 'directory';
  readonly attributes: Attributes;
  readonly children: ReadonlyMap<string, TreeNode>;
  /** What readdir answers: the children in name order, without hidden ones and virtual files. */
  readonly entries: readonly DirectoryEntry[];
}

export interface ImageNode {
  readonly is: 'image';
  readonly attributes: Attributes;
  readonly image: CatalogImage;
}

export interface SymlinkNode {
  readonly is: 'symlink';
  readonly attributes: Attributes;
  readonly target: string;
}

/** A file whose text is made when it is opened. Its size is not known before, so it has no attributes of its own. */
export interface VirtualNode {
  readonly is: 'status';
  readonly node: number;
}

export interface ImageTree {
  readonly root: DirectoryNode;
  readonly nodes: ReadonlyMap<number, TreeNode>;
  readonly ids: ReadonlyMap<string, number>;
  readonly modifiedMs: number;
}

export const BY_NAME = 'by-name';
const HIDDEN = '.cinderfs';
const STATUS = 'status';

/** Builds the tree of `snapshot`. `previous` keeps node ids and, where nothing came or went, directory times stable. */
export function buildImageTree(snapshot: CatalogSnapshot, owner: Ownership, previous?: ImageTree): ImageTree {
  const images = [...snapshot.images.values()];
  const keys = [BY_NAME, HIDDEN, STATUS, ...images.flatMap(({ id }) => [imageKey(id), nameKey(id)])];
  const ids = assignNodeIds(keys, previous?.ids);
  const idOf = (key: string): number => ids.get(key) ?? 0;
  const modifiedMs =
    previous !== undefined && sameKeys(ids, previous.ids) ? previous.modifiedMs : snapshot.at;
  const directory = (node: number, links: number, children: Children): DirectoryNode => {
    const sorted = new Map([...children].sort(([a], [b]) => compare(a, b)));
    const attributes = directoryAttributes(node, links, modifiedMs, owner);
    return { is: 'directory', attributes, children: sorted, entries: entriesOf(sorted) };
  };

  // Ids are UUIDs and pass unchanged; one that were not would still become a legal name.
  const idNames = assignFileNames(images.map(({ id }) => ({ id, name: id })));
  const { files, links } = imageChildren(images, idNames, idOf, owner);
  const status: VirtualNode = { is: 'status', node: idOf(STATUS) };
  files.set(BY_NAME, directory(idOf(BY_NAME), 2, links));
  files.set(HIDDEN, directory(idOf(HIDDEN), 2, new Map([[STATUS, status]])));
  const root = directory(ROOT_NODE, 4, files);
  return { root, nodes: indexNodes(root), ids, modifiedMs };
}

type Children = Map<string, TreeNode>;

/** The image files by their id names, and the symlinks to them by their own names. */
function imageChildren(
  images: readonly CatalogImage[],
  idNames: ReadonlyMap<string, string>,
  idOf: (key: string) => number,
  owner: Ownership,
): { files: Children; links: Children } {
  // A hidden image has been superseded, mostly by one of the same name: that one has the name to itself.
  const names = assignFileNames(images.filter(({ hidden }) => hidden !== true));
  const files: Children = new Map();
  const links: Children = new Map();
  for (const image of images) {
    const fileName = idNames.get(image.id) ?? image.id;
    const target = `../${fileName}`;
    files.set(fileName, {
      is: 'image',
      attributes: imageAttributes(idOf(imageKey(image.id)), image, owner),
      image,
    });
    const name = names.get(image.id);
    if (name === undefined) continue;
    links.set(name, {
      is: 'symlink',
      attributes: symlinkAttributes(idOf(nameKey(image.id)), target, image, owner),
      target,
    });
  }
  return { files, links };
}

const imageKey = (id: string): string => `image:${id}`;
const nameKey = (id: string): string => `name:${id}`;

function entriesOf(children: Children): DirectoryEntry[] {
  const entries: DirectoryEntry[] = [];
  for (const [name, node] of children) {
    if (node.is !== 'status' && name !== HIDDEN) entries.push({ name, attributes: node.attributes });
  }
  return entries;
}

function indexNodes(root: DirectoryNode): Map<number, TreeNode> {
  const nodes = new Map<number, TreeNode>();
  const visit = (node: TreeNode): void => {
    nodes.set(nodeIdOf(node), node);
    if (node.is === 'directory') node.children.forEach(visit);
  };
  visit(root);
  return nodes;
}

/** The directory that a node is in; the root's is the root. */
export function parentOf({ root, nodes }: ImageTree, node: number): number {
  const directory = DIRECTORY_OF[nodes.get(node)?.is ?? 'directory'];
  return nodeIdOf((directory === undefined ? undefined : root.children.get(directory)) ?? root);
}

/** Everything else is in the root. */
const DIRECTORY_OF: Partial<Record<TreeNode['is'], string>> = { symlink: BY_NAME, status: HIDDEN };

export function nodeIdOf(node: TreeNode): number {
  return node.is === 'status' ? node.node : node.attributes.node;
}

function sameKeys(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean {
  return a.size === b.size && [...a.keys()].every((key) => b.has(key));
}

/** By UTF-16 code unit: the same order on every host, whatever its locale. */
function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
