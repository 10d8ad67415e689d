/** Every command that a document shows is one that there is: its verb, its flags, its script, its file. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { parseVerb } from '../../src/cli/command-line/parse.js';
import { VERBS } from '../../src/cli/verbs.js';
import { reasonOf } from '../../src/errors.js';
import { shownCommands, type ShownCommand } from '../support/shown-commands.js';

const PACKAGE = JSON.parse(readFileSync('package.json', 'utf8')) as {
  readonly scripts: Readonly<Record<string, string>>;
  readonly [dependencies: `${string}ependencies`]: Readonly<Record<string, string>>;
};

/** What documents show in blocks and is neither ours nor a command; each says why it is not judged. */
const FOREIGN: readonly { readonly starts: string; readonly why: string }[] = [
  { starts: 'ls -l /images/by-name', why: 'coreutils, on a mount' },
  { starts: 'qemu-img convert -O qcow2 --image-opts driver=qcow2,backing=,', why: 'QEMU, on a mount' },
];

/** Blocks that show something else than commands, by how their first line starts. */
const NO_COMMANDS: readonly { readonly document: string; readonly starts: string; readonly why: string }[] = [
  { document: 'README.md', starts: '   qemu-img, qemu-system', why: 'a diagram' },
  { document: 'ARCHITECTURE.md', starts: 'bin/ ', why: 'a list of folders' },
];

const DOCUMENTS = [
  'README.md',
  'ARCHITECTURE.md',
  'CONTRIBUTING.md',
  ...['docs', 'test', 'bench', 'devcloud'].flatMap(markdownBelow),
];

describe('every command that a document shows', () => {
  for (const document of DOCUMENTS)
    it(`is one that there is: ${document}`, () => assert.deepEqual(faultsIn(document, read(document)), []));

  it('and there are some, and no exception that is not needed any more', () => {
    const all = DOCUMENTS.flatMap((document) => shownCommands(read(document)));
    assert.ok(all.filter(({ words }) => words[0] === 'cinderfs').length > 40, 'commands of cinderfs');
    assert.ok(all.filter(({ words }) => words[0] === 'npm').length > 30, 'scripts');
    for (const { starts } of FOREIGN)
      assert.ok(
        all.some(({ words }) => words.join(' ').startsWith(starts)),
        starts,
      );
    for (const { document, starts } of NO_COMMANDS)
      assert.ok(read(document).includes(`\`\`\`\n${starts}`), `${document}: ${starts}`);
  });

  it('is missed when it is misspelt', () => {
    const block = (line: string): string => `\`\`\`\n${line}\n\`\`\`\n`;
    for (const [text, fault] of [
      [block('# cinderfs mout /images'), /no verb mout/],
      [block('# cinderf mount /images'), /not ours/],
      [block('# cinderfs mount /images --os-clod prod'), /unknown option '--os-clod'/],
      [block('# cinderfs mount'), /missing DIR/],
      [block('npm run demmo'), /no script demmo/],
      [block('npm test test/fs/nothing.test.ts'), /no file test\/fs\/nothing/],
      [block('npm run fuzz -- --secnds 60'), /--secnds is not in/],
      ['see `cinderfs stauts -f json`', /no verb stauts/],
      ['see `cindrefs status`', /not ours/],
      ['see `npm run tset:vm`', /no script tset:vm/],
      ['run `bash scripts/stup run`', /no file scripts\/stup/],
    ] as const)
      assert.match(faultsIn('README.md', text).join(), fault, text);
  });
});

function faultsIn(document: string, markdown: string): readonly string[] {
  const without = NO_COMMANDS.filter((one) => one.document === document).reduce(
    (text, { starts }) => text.replace(new RegExp(`^\`\`\`\n${escaped(starts)}.*?^\`\`\``, 'ms'), ''),
    markdown,
  );
  return shownCommands(without).flatMap((command) => {
    const fault = faultOf(command);
    return fault === undefined ? [] : [`${command.shown}: ${fault}`];
  });
}

function faultOf(command: ShownCommand): string | undefined {
  const [program = '', ...words] = command.words;
  if (/^(?:\S*bin\/)?cinderfs(?:\.cjs)?$/.test(program)) return faultOfCinderfs(words, command.inline);
  if (program === 'npm') return faultOfNpm(words);
  if (program === 'bash') return faultOfFile(words[0] ?? '');
  const line = command.words.join(' ');
  return FOREIGN.some(({ starts }) => line.startsWith(starts)) ? undefined : 'not ours, and not in the table';
}

/** `[WORD]` may be left out: the command is judged with all of them and without. */
function faultOfCinderfs(words: readonly string[], inline: boolean): string | undefined {
  const [name = '', ...rest] = words;
  if (name === '--version' || name === '--help') return undefined;
  const verb = VERBS.find((one) => one.name === name);
  if (verb === undefined) return `no verb ${name}`;
  if (inline && rest.length === 0) return undefined;
  const all = rest.map((word) => word.replace(/^\[(.*)\]$/, '$1'));
  try {
    for (const given of [all, rest.filter((word) => !word.startsWith('['))]) parseVerb(verb, given);
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}

function faultOfNpm([command = '', ...rest]: readonly string[]): string | undefined {
  if (command === 'install') {
    const known = Object.entries(PACKAGE).flatMap(([name, list]) =>
      name.endsWith('ependencies') ? Object.keys(list) : [],
    );
    return rest.every((name) => known.includes(name)) ? undefined : `no package ${rest.join(' ')}`;
  }
  const [name = '', ...args] = command === 'run' ? rest : [command, ...rest];
  const script = PACKAGE.scripts[name];
  if (script === undefined) return `no script ${name}`;
  for (const arg of args.map((word) => word.replace(/^\[|\]$|\.\.\.\]?$/g, ''))) {
    const flag = /^--([a-z-]+)/.exec(arg)?.[1];
    if (flag !== undefined && !takes(script, flag)) return `--${flag} is not in what ${name} runs`;
    if (/^[a-z].*\.test\.ts$/.test(arg) && faultOfFile(arg) !== undefined) return faultOfFile(arg);
  }
  return undefined;
}

function faultOfFile(file: string): string | undefined {
  return existsSync(file) ? undefined : `no file ${file}`;
}

/** Whether the files that a script runs speak of a flag: `--flag`, or a key of what they parse. */
function takes(script: string, flag: string): boolean {
  const entry = /dist\/(\S+)\.js/.exec(script)?.[1]?.concat('.ts') ?? /bash (\S+)$/.exec(script)?.[1] ?? '';
  const told = /dist\/(\S+)\.js/.exec(readFileSync(entry, 'utf8'))?.[1];
  const folder = told === undefined ? undefined : path.dirname(told);
  const beside = folder === undefined ? [] : readdirSync(folder).filter((name) => name.endsWith('.ts'));
  return [entry, ...beside.map((name) => `${folder ?? ''}/${name}`)].some((file) =>
    new RegExp(`--${flag}\\b|\\b${flag}'?:`).test(readFileSync(file, 'utf8')),
  );
}

function markdownBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `${folder}/${name}`)
    .sort();
}

function read(document: string): string {
  return readFileSync(document, 'utf8');
}

function escaped(text: string): string {
  return text.replace(/[$()*+.?[\\\]^{|}]/g, '\\$&');
}
