import fc from 'fast-check';

/** What is done to one node of a JSON document. */
export const HOWS = ['replace', 'drop', 'wrap', 'rename', 'repeat', 'deepen'] as const;

/** Values that readers do not expect where they stand. */
export const JSON_VALUES: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    false,
    '',
    [],
    {},
    [null],
    [[]],
    [{}],
    { id: 1 },
    0,
    -1,
    1.5,
    1e308,
    -1e308,
  ),
  fc.constantFrom<unknown>(
    2 ** 31,
    2 ** 32,
    2 ** 53,
    '..',
    '/',
    '../../etc/passwd',
    '\0',
    '\u001b[2J',
    '%',
    '\ud800',
  ),
  fc.constantFrom<unknown>('__proto__', 'constructor', '1e999', 'x'.repeat(5000), '9'.repeat(400), {
    toString: 1,
  }),
  fc.string({ maxLength: 12 }),
  fc.jsonValue({ maxDepth: 2 }),
);

const NAMES = ['__proto__', 'constructor', 'toString', 'length', 'then', 'toJSON', 'id', ''];

interface JsonEdit {
  readonly part: number;
  readonly node: number;
  readonly how: (typeof HOWS)[number];
  readonly value: unknown;
}

/** Edits one node of one of the JSON documents in `input`; what cannot be parsed stays as it is. */
export function editJson(input: Buffer, edit: JsonEdit): Buffer {
  const text = input.toString('utf8');
  const documents = documentsIn(text);
  const found = documents[edit.part % documents.length];
  if (found === undefined) return input;
  const holder = { document: found.value };
  const nodes = nodesOf(holder);
  const node = nodes[edit.node % nodes.length];
  if (node !== undefined) change(node, edit);
  const written = (JSON.stringify(holder.document) as string | undefined) ?? '';
  return Buffer.from(text.slice(0, found.start) + written + text.slice(found.end));
}

interface Found {
  readonly start: number;
  readonly end: number;
  readonly value: unknown;
}

/** Every line that begins as a document, up to the end of that document: the parts of an input, or lines of a journal. */
function documentsIn(text: string): readonly Found[] {
  const found: Found[] = [];
  for (const match of text.matchAll(/^[[{].*$/gm)) {
    const value = parsed(match[0]);
    if (value !== undefined) found.push({ start: match.index, end: match.index + match[0].length, value });
  }
  return found;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

interface Node {
  readonly parent: Record<string, unknown>;
  readonly key: string;
}

function nodesOf(root: object): readonly Node[] {
  const nodes: Node[] = [];
  const visit = (parent: object): void => {
    for (const [key, value] of Object.entries(parent)) {
      nodes.push({ parent: parent as Record<string, unknown>, key });
      if (typeof value === 'object' && value !== null) visit(value as object);
    }
  };
  visit(root);
  return nodes;
}

function change({ parent, key }: Node, { how, node, value }: JsonEdit): void {
  const old = parent[key];
  switch (how) {
    case 'replace':
      put(parent, key, value);
      break;
    case 'drop':
      if (Array.isArray(parent)) parent.splice(Number(key), 1);
      else Reflect.deleteProperty(parent, key);
      break;
    case 'wrap':
      put(parent, key, node % 2 === 0 ? [old] : { [NAMES[node % NAMES.length] ?? '']: old });
      break;
    case 'rename':
      Reflect.deleteProperty(parent, key);
      put(parent, NAMES[node % NAMES.length] ?? '', old);
      break;
    case 'repeat':
      if (Array.isArray(old)) put(parent, key, Array.from({ length: 20 }, () => old as unknown[]).flat());
      else if (typeof old === 'string') put(parent, key, old.repeat(50).slice(0, 10_000));
      break;
    case 'deepen':
      put(
        parent,
        key,
        Array.from({ length: 60 }).reduce<unknown>((inner) => [inner], old),
      );
  }
}

/** As an own property, also where it is called __proto__. */
function put(parent: object, key: string, value: unknown): void {
  if (Array.isArray(parent) && key === 'length') return;
  Object.defineProperty(parent, key, { value, writable: true, enumerable: true, configurable: true });
}
