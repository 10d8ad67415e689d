/** The import law (.dependency-cruiser.cjs), run over a small tree: each of its rules fires where it is broken. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { temporaryFolder } from '../support/temporary.js';

const LAW = path.resolve('.dependency-cruiser.cjs');

interface Rule {
  readonly name: string;
  readonly from: { readonly pathNot?: string | readonly string[] };
}

const { forbidden: RULES } = createRequire(import.meta.url)(LAW) as { readonly forbidden: readonly Rule[] };

const FLOOR = 'floor-of-';
const DOOR = 'only-door-to-';
/** From the bottom up. */
const ROOMS = namesAfter(FLOOR);
const THIRD_PARTIES = namesAfter(DOOR);

/** A tree: what each file imports, by its path. */
type Tree = ReadonlyMap<string, readonly string[]>;

/** Every room has a file `one.ts` that imports that of src/. */
const CLEAN: Tree = new Map([
  ['src/one.ts', []],
  ['test/one.ts', []],
  ['devcloud/one.ts', ['src/one.ts', 'src/async/one.ts']],
  ...ROOMS.filter((room) => room !== '.').map((room): [string, string[]] => [one(room), ['src/one.ts']]),
  ['src/fs/fuse/worker/worker.ts', ['src/fs/fuse/channel/dev-fuse/one.ts']],
  ['src/daemon/wires.ts', ['src/attach/one.ts', 'src/cinder/one.ts', 'src/fs/one.ts', 'src/fs/fuse/one.ts']],
  ['src/fs/reads.ts', ['src/attach/contract/one.ts', 'src/cinder/contract/one.ts', 'src/sources/one.ts']],
  ['src/cli/verbs/asks.ts', ['src/daemon/one.ts', 'src/fs/mount/one.ts', 'src/attach/contract/one.ts']],
  ['src/cinder/http/http.ts', ['undici']],
]);

/** One breach of each rule: a file, and what it imports. */
const BREACHES: ReadonlyMap<string, readonly [string, readonly string[]]> = new Map([
  // It tells of a circle once.
  ['no-circular', ['src/back.ts', ['src/circle.ts']]],
  ['no-orphans', ['src/alone.ts', []]],
  ['room-without-a-floor', ['src/strange/two.ts', ['src/one.ts']]],
  ...ROOMS.map((room, index): [string, [string, string[]]] => [
    `${FLOOR}${room}`,
    // The next one up, or one that has no floor.
    [path.join('src', room, 'climbs.ts'), [one(ROOMS[index + 1] ?? 'strange')]],
  ]),
  ['inside-of-cinder', ['src/attach/lifecycle/looks.ts', ['src/cinder/http/one.ts']]],
  ['inside-of-attach', ['src/fs/looks.ts', ['src/attach/lifecycle/one.ts']]],
  ['inside-of-fs', ['src/supervisor/looks.ts', ['src/fs/tree/one.ts']]],
  ['cli-composes-nothing', ['src/cli/verbs/composes.ts', ['src/sources/one.ts']]],
  ['channel-behind-its-contract', ['src/fs/fuse/worker/reads.ts', ['src/fs/fuse/channel/dev-fuse/one.ts']]],
  ['src-is-the-product', ['src/daemon/tested.ts', ['test/one.ts']]],
  ['devcloud-is-a-double', ['devcloud/borrows.ts', ['src/cinder/contract/one.ts']]],
  ['third-party-without-a-door', ['src/daemon/stranger.ts', ['left-pad']]],
  ...THIRD_PARTIES.map((name): [string, [string, string[]]] => [
    `${DOOR}${name}`,
    [`src/daemon/wants-${name}.ts`, [name]],
  ]),
]);

describe('the import law', () => {
  it('passes a tree that keeps it', async (t) => {
    assert.deepEqual(await judge(t, CLEAN), []);
  });

  it('has a rule for each breach, and a breach for each rule', () => {
    assert.deepEqual([...BREACHES.keys()].sort(), RULES.map(({ name }) => name).sort());
  });

  it('sees one breach of each rule, of types alone', async (t) => {
    const tree = new Map([
      ...CLEAN,
      ['src/circle.ts', ['src/back.ts']],
      ['src/strange/one.ts', []],
      ...BREACHES.values(),
    ]);
    const seen = await judge(t, tree);
    const missed = [...BREACHES].filter(([rule, [file]]) => !seen.includes(`${rule} ${file}`));
    assert.deepEqual(missed, []);
  });

  it('has no door that is not used', () => {
    for (const name of THIRD_PARTIES) {
      const rule = RULES.find((one) => one.name === `${DOOR}${name}`);
      for (const door of [rule?.from.pathNot ?? []].flat()) {
        const file = door.replace(/^\^|\$$/g, '').replaceAll('\\', '');
        assert.ok(existsSync(file), `${file}, the door to ${name}, does not exist`);
        assert.match(readFileSync(file, 'utf8'), new RegExp(`'${name}'`), `${file} does not use ${name}`);
      }
    }
  });
});

function namesAfter(prefix: string): readonly string[] {
  return RULES.filter(({ name }) => name.startsWith(prefix)).map(({ name }) => name.slice(prefix.length));
}

function one(room: string): string {
  return path.join('src', room, 'one.ts');
}

/** `RULE FILE` for each breach that the law finds in `tree`. */
async function judge(t: TestContext, tree: Tree): Promise<readonly string[]> {
  const folder = await temporaryFolder(t);
  for (const [file, imports] of tree) {
    const text = imports.map(
      (target, index) => `import type { A as A${index} } from '${from(file, target)}';\n`,
    );
    await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
    await writeFile(path.join(folder, file), `${text.join('')}export type A = string;\n`);
  }
  await writeFile(path.join(folder, 'tsconfig.json'), '{"compilerOptions":{"module":"nodenext"}}');
  const report = await cruise(folder);
  return report.summary.violations.map((one) => `${one.rule.name} ${one.from}`);
}

function from(file: string, target: string): string {
  if (!target.endsWith('.ts')) return target;
  const relative = path.relative(path.dirname(file), target).replace(/\.ts$/, '.js');
  return relative.startsWith('.') ? relative : `./${relative}`;
}

interface Report {
  readonly summary: {
    readonly violations: readonly { readonly from: string; readonly rule: { readonly name: string } }[];
  };
}

async function cruise(folder: string): Promise<Report> {
  const args = ['--config', LAW, '--output-type', 'json', 'src', 'devcloud'];
  const program = path.resolve('node_modules/.bin/depcruise');
  const { stdout } = await promisify(execFile)(program, args, { cwd: folder, maxBuffer: 64 * 2 ** 20 });
  return JSON.parse(stdout) as Report;
}
