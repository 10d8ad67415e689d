import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { selectEndpoint, endpointsOf } from '../../src/cinder/keystone/service-catalog.js';
import { loginBody, loginUrl } from '../../src/cinder/keystone/token.js';
import { loadCloud } from '../../src/config/cloud.js';
import type { CloudConfig } from '../../src/config/cloud-config.js';
import { loadConfig } from '../../src/config/load.js';
import { CinderfsError } from '../../src/errors.js';
import { assertProperty, runsFor, seedFor } from '../support/seeds.js';
import { temporaryFolder } from '../support/temporary.js';
import { cases, type Case } from './sdk/cases.js';
import { openstacksdk, type Question } from './sdk/reference.js';
import { flattened } from './sdk/rewrites.js';
import { refusalsFor, rulesFor } from './sdk/rules.js';
import { toYaml } from './sdk/tree.js';

/** The long form: CINDERFS_TEST_RUNS=1000. */
const RUNS = runsFor(100);
const SEED = seedFor();

/** What becomes of a case: who logs in where with what, and where the services are. */
interface Outcome {
  readonly refused?: string;
  readonly cloud?: string;
  readonly login?: {
    readonly url: string;
    readonly body: Body;
    readonly verify: unknown;
    readonly cert: unknown;
  };
  readonly image?: string;
  readonly volume?: string;
}

interface Body {
  readonly auth: { readonly identity: Record<string, unknown>; readonly scope?: Record<string, unknown> };
}

const PROJECT = 'the-project';

function ours({ env, directory, catalog }: Question): Outcome {
  try {
    const sources = { env, directory, uid: 65534 };
    const loaded = loadConfig({ ...sources, flags: { 'config-file': '/dev/null' } });
    const cloud = loadCloud({ ...sources, loaded });
    const { verify, cacert, cert, key } = cloud.tls;
    return {
      cloud: cloud.name,
      login: {
        url: new URL(loginUrl(cloud.authUrl)).href,
        body: loginBody(cloud.auth) as Body,
        verify: verify ? (cacert ?? true) : false,
        cert: cert === undefined ? null : key === undefined ? cert : [cert, key],
      },
      image: endpoint(cloud, 'image', catalog),
      volume: endpoint(cloud, 'volume', catalog),
    };
  } catch (error) {
    if (CinderfsError.is(error) && /^(config_invalid|cloud_missing)$/.test(error.code))
      return { refused: error.message };
    throw error;
  }
}

function endpoint(cloud: CloudConfig, service: 'image' | 'volume', catalog: readonly object[]): string {
  try {
    return selectEndpoint(cloud[service], endpointsOf(catalog), PROJECT).replace(/\/+$/, '');
  } catch (error) {
    if (CinderfsError.is(error)) return 'none';
    throw error;
  }
}

/** openstacksdk's answer in our words: absolute paths, no trailing slashes, one kind of "there is none". */
function inOurWords(answer: unknown, directory: string): Outcome {
  const { login, image, volume, ...rest } = answer as Outcome;
  if (login === undefined) return rest;
  const at = (path: unknown): unknown =>
    typeof path === 'string' ? resolve(directory, path) : Array.isArray(path) ? path.map(at) : path;
  const place = (found: unknown): string => (typeof found === 'string' ? found.replace(/\/+$/, '') : 'none');
  return {
    ...rest,
    login: { ...login, url: new URL(login.url).href, verify: at(login.verify), cert: at(login.cert) },
    image: place(image),
    volume: place(volume),
  };
}

/**
 * A name without a domain, which Keystone refuses: we fill in the cloud's other domain or openstackclient's default,
 * `default`. Nothing else may differ.
 */
function withDefaultDomains(theirs: Outcome, mine: Outcome): Outcome {
  const filled = structuredClone(theirs) as { login?: { body: Body } };
  const fill = (found: unknown, like: unknown): void => {
    const [owner, model] = [found, like] as [
      Record<string, unknown> | undefined,
      Record<string, unknown> | undefined,
    ];
    if (owner?.name !== undefined && owner.domain === undefined && model?.domain !== undefined)
      owner.domain = model.domain;
  };
  const [body, model] = [filled.login?.body.auth, mine.login?.body.auth];
  const userOf = (auth: Body['auth'] | undefined): unknown => {
    const method = (auth?.identity.password ?? auth?.identity.application_credential) as
      { user?: unknown } | undefined;
    return method?.user;
  };
  fill(userOf(body), userOf(model));
  fill(body?.scope?.project, model?.scope?.project);
  return filled as Outcome;
}

describe('a configuration and a catalog', () => {
  it(`are to us what they are to openstacksdk and keystoneauth, ${RUNS} of each (seed ${SEED})`, async (t) => {
    const root = await temporaryFolder(t);
    const ask = openstacksdk(t);
    const { version } = (await ask({ package: 'openstacksdk' })) as { readonly version: string };
    const [rules, refusals] = [rulesFor(version), refusalsFor(version)];
    t.diagnostic(`openstacksdk ${version}`);
    /** Per rule: the cases that nothing explains without it. */
    const explained = new Map<string, number>();
    let folders = 0;

    const place = async (given: Case): Promise<Question> => {
      const folder = join(root, String(folders++));
      for (const name of ['cwd', 'home']) await mkdir(join(folder, name), { recursive: true });
      for (const [path, tree] of Object.entries(given.files)) {
        await mkdir(dirname(join(folder, path)), { recursive: true });
        await writeFile(join(folder, path), `${toYaml(tree)}\n`, { mode: 0o600 });
      }
      const env = Object.entries(given.env).map(([name, value]) => [name, value.replace('ROOT', '/bundles')]);
      return {
        env: {
          HOME: join(root, 'home-of-all'),
          ...Object.fromEntries(env),
          XDG_CONFIG_HOME: join(folder, 'home/.config'),
          XDG_CONFIG_DIRS: join(folder, 'site'),
        } as Record<string, string>,
        directory: join(folder, 'cwd'),
        catalog: given.catalog,
      };
    };

    const theirs = async (given: Case): Promise<Outcome> => {
      const question = await place(given);
      return inOurWords(await ask(question), question.directory);
    };

    const same = (mine: Outcome, their: Outcome, where: string): boolean => {
      if (mine.refused !== undefined && their.refused !== undefined) return true;
      // Relative paths start in the folder of the case, which the rewritten one does not share.
      const plainly = (outcome: Outcome): unknown =>
        JSON.parse(JSON.stringify(outcome).replace(/\/[^"]*\/\d+\/cwd/g, where)) as unknown;
      return isDeepStrictEqual(plainly(mine), plainly(withDefaultDomains(their, mine)));
    };

    /** Twice: what one rule moves another may have to change. */
    const sameBy = async (names: readonly string[], given: Case, mine: Outcome): Promise<boolean> => {
      const applied = rules.filter(({ name }) => names.includes(name));
      const rewritten = [...applied, ...applied].reduce((before, { rewrite }) => rewrite(before), given);
      return same(mine, await theirs(rewritten), '');
    };

    const explain = async (whole: Case, mine: Outcome): Promise<readonly string[] | undefined> => {
      const given = flattened(whole);
      for (const { name, rewrite } of rules) {
        if (same(mine, await theirs(rewrite(given)), '')) return [name];
      }
      const all = rules.map(({ name }) => name);
      if (await sameBy(all, given, mine)) {
        const needed: string[] = [];
        for (const name of all)
          if (
            !(await sameBy(
              all.filter((other) => other !== name),
              given,
              mine,
            ))
          )
            needed.push(name);
        return needed;
      }
      const { refused } = mine;
      const refusal = refusals.find(({ message }) => refused !== undefined && message.test(refused));
      return refusal === undefined ? undefined : [refusal.name];
    };

    await assertProperty(
      fc.asyncProperty(cases, async (given) => {
        const question = await place(given);
        const mine = ours(question);
        const their = inOurWords(await ask(question), question.directory);
        if (same(mine, their, '')) return;
        const reasons = await explain(given, mine);
        for (const reason of reasons ?? []) explained.set(reason, (explained.get(reason) ?? 0) + 1);
        if (reasons !== undefined) return;
        const files = Object.entries(given.files).map(([path, tree]) => `--- ${path}\n${toYaml(tree)}`);
        assert.fail(
          [
            ...files,
            JSON.stringify(given.env),
            JSON.stringify(given.catalog),
            `ours   ${JSON.stringify(mine)}`,
            `theirs ${JSON.stringify(their)}`,
          ].join('\n'),
        );
      }),
      { numRuns: RUNS, seed: SEED },
    );
    for (const [reason, count] of [...explained].sort((a, b) => b[1] - a[1]))
      t.diagnostic(`${count} need: ${reason}`);
  });
});
