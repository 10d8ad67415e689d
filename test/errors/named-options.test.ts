/** Every `--option` that a message of ours names is one that the command line takes. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import ts from 'typescript';
import { OPTIONS, optionEntries } from '../../src/config/options.js';
import { VERBS } from '../../src/cli/verbs.js';
import { ERROR_KINDS } from '../../src/error-kinds.js';

const KNOWN = new Set([
  'help',
  'version',
  ...optionEntries().flatMap(([name, { type }]) => {
    const flag = name.replaceAll('_', '-');
    return type === 'boolean' ? [flag, `no-${flag}`] : [flag];
  }),
  ...VERBS.flatMap(({ flags }) => flags.map(({ name }) => name)),
]);

/** Text that people read: string literals with more than one word. What a program is started with has one each. */
function messagesIn(file: string): readonly string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (
      ts.isStringLiteralLike(node) ||
      ts.isTemplateHead(node) ||
      ts.isTemplateMiddle(node) ||
      ts.isTemplateTail(node)
    )
      found.push(node.text);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true));
  return found.filter((text) => text.trim().includes(' '));
}

/** Holds a shell script: the options in it are mount(8)'s. */
const SCRIPT = 'attach/connectors/qemu/confinement.ts';

interface Named {
  readonly option: string;
  readonly value: string | undefined;
}

function optionsIn(text: string): readonly Named[] {
  return [...text.matchAll(/(?<![\w-])--([a-z][a-z-]*[a-z])(?:=([\w-]+))?/g)].map(
    ([, option = '', value]) => ({
      option,
      value,
    }),
  );
}

function isTaken({ option, value }: Named): boolean {
  const spec = (OPTIONS as Readonly<Record<string, { readonly values?: readonly string[] }>>)[
    option.replaceAll('-', '_')
  ];
  if (value !== undefined && value !== value.toUpperCase() && spec?.values !== undefined)
    return spec.values.includes(value);
  return KNOWN.has(option);
}

it('every option that a message or a remedy names exists, with the value it names', () => {
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  );
  const named = [
    ...sources.flatMap((file) => namedBy(file, messagesIn(path.join('src', file)))),
    ...namedBy(
      'error-kinds',
      Object.values(ERROR_KINDS).map(({ remedy }) => remedy),
    ),
  ];
  assert.deepEqual(
    named.filter((one) => !isTaken(one) && one.where !== SCRIPT),
    [],
  );
  assert.ok(named.length > 10, 'the messages are found');
});

function namedBy(where: string, texts: readonly string[]): readonly (Named & { readonly where: string })[] {
  return texts.flatMap(optionsIn).map((one) => ({ ...one, where }));
}

it('tells an option, or a value of one, that does not exist', () => {
  assert.deepEqual(
    ['use --fuse=kernel', 'use --fuse=engine', 'use --fuze', 'use --no-supervise'].map((text) =>
      optionsIn(text).every(isTaken),
    ),
    [false, true, false, true],
  );
});
