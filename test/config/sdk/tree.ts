/** Files of settings as trees that remember how each scalar is written, and the YAML they make. */

/** `plain`: without quotes, so that PyYAML may take it for a number, a date or a boolean. */
export interface Scalar {
  readonly text: string;
  readonly plain: boolean;
}

export type Tree = Scalar | readonly Tree[] | Mapping;
export interface Mapping {
  readonly [key: string]: Tree;
}

export const quoted = (text: string): Scalar => ({ text, plain: false });
export const plain = (text: string): Scalar => ({ text, plain: true });

export function isScalar(tree: Tree | undefined): tree is Scalar {
  return tree !== undefined && 'plain' in tree && typeof tree.plain === 'boolean';
}

export function isMapping(tree: Tree | undefined): tree is Mapping {
  return tree !== undefined && !Array.isArray(tree) && !isScalar(tree);
}

export function isNull(tree: Tree): boolean {
  return isScalar(tree) && tree.plain && /^(~|null|)$/.test(tree.text);
}

/** `tree` with each mapping's entries changed, from the leaves up; undefined removes one. */
export function changeEntries(
  tree: Tree,
  change: (key: string, value: Tree) => readonly [string, Tree] | undefined,
): Tree {
  if (isScalar(tree)) return tree;
  if (!isMapping(tree)) return tree.map((item) => changeEntries(item, change));
  const entries = Object.entries(tree).flatMap(([key, value]) => {
    const changed = change(key, changeEntries(value, change));
    return changed === undefined ? [] : [changed];
  });
  return Object.fromEntries(entries);
}

/** The tree as YAML. A mapping with the key `<<name` takes its content in by a merge key from an anchor `name`. */
export function toYaml(tree: Tree, indent = ''): string {
  if (isScalar(tree)) return tree.plain ? tree.text : JSON.stringify(tree.text);
  if (!isMapping(tree)) return `[${tree.map((item) => inFlow(item)).join(', ')}]`;
  const lines = Object.entries(tree).map(([key, value]) => {
    const [, merged] = /^<<(.*)$/.exec(key) ?? [];
    if (merged !== undefined) return `${indent}<<: ${merged}`;
    // `name: &anchor` is a key whose value can be aliased.
    const [name, anchor] = key.split(': ');
    const head = `${indent}${name}:${anchor === undefined ? '' : ` ${anchor}`}`;
    const nested = isMapping(value) && Object.keys(value).length > 0;
    return `${head}${nested ? `\n${toYaml(value, `${indent}  `)}` : ` ${inFlow(value)}`}`;
  });
  return lines.join('\n');
}

function inFlow(tree: Tree): string {
  if (isScalar(tree)) return toYaml(tree);
  if (!isMapping(tree)) return `[${tree.map(inFlow).join(', ')}]`;
  return `{${Object.entries(tree)
    .map(([key, value]) => `${key}: ${inFlow(value)}`)
    .join(', ')}}`;
}
