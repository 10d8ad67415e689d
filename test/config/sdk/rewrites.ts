/** Ways to change a case: in its files, its variables, its clouds or what they log in with. */
import type { Case } from './cases.js';
import { changeEntries, isMapping, isNull, isScalar, type Mapping, type Tree } from './tree.js';

type Change = (key: string, value: Tree) => readonly [string, Tree] | undefined;

export const inFiles =
  (change: Change) =>
  (given: Case): Case => ({
    ...given,
    files: Object.fromEntries(
      Object.entries(given.files).map(([path, tree]) => [path, changeEntries(tree, change) as Mapping]),
    ),
  });

export const inVariables =
  (change: (name: string, value: string) => readonly [string, string] | undefined) =>
  (given: Case): Case => ({
    ...given,
    env: Object.fromEntries(
      Object.entries(given.env).flatMap(([name, value]) => {
        const changed = change(name, value);
        return changed === undefined ? [] : [changed];
      }),
    ),
  });

/** The case with one file of clouds: merge keys and secure.yaml merged into it. It means the same. */
export function flattened(given: Case): Case {
  const isSecure = (path: string): boolean => path.endsWith('secure.yaml');
  const secrets = Object.entries(given.files).find(([path]) => isSecure(path))?.[1].clouds;
  const files = Object.entries(given.files).filter(([path]) => !isSecure(path));
  const flat = files.map(([path, tree]) => {
    const { clouds } = tree;
    if (!isMapping(clouds)) return [path, tree] as const;
    const whole = Object.entries(clouds).map(([name, cloud]) => {
      const secret = isMapping(secrets) ? secrets[name] : undefined;
      return [name, isMapping(cloud) ? withSecret(unmerged(cloud, tree), secret) : cloud];
    });
    return [path, { clouds: Object.fromEntries(whole) as Mapping }] as const;
  });
  return { ...given, files: Object.fromEntries(flat) };
}

function withSecret(cloud: Mapping, secret: Tree | undefined): Mapping {
  const inner = isMapping(secret) ? secret.auth : undefined;
  if (!isMapping(inner)) return cloud;
  const given = Object.fromEntries(Object.entries(inner).filter(([, value]) => !isNull(value)));
  return { ...cloud, auth: { ...(isMapping(cloud.auth) ? cloud.auth : {}), ...given } };
}

function unmerged(cloud: Mapping, file: Mapping): Mapping {
  const own = Object.fromEntries(Object.entries(cloud).filter(([key]) => !key.startsWith('<<')));
  const anchors = Object.keys(cloud).flatMap((key) =>
    key.startsWith('<<') ? (key.match(/\w+/g) ?? []) : [],
  );
  const merged = anchors.reverse().map((name) => file[`${name}: &${name}`]);
  return Object.assign({}, ...merged.filter(isMapping), own) as Mapping;
}

/** Each cloud's own settings. */
export const inClouds = (change: (cloud: Mapping) => Mapping): ((given: Case) => Case) =>
  inFiles((key, value) => [
    key,
    key === 'clouds' && isMapping(value)
      ? Object.fromEntries(
          Object.entries(value).map(([name, cloud]) => [name, isMapping(cloud) ? change(cloud) : cloud]),
        )
      : value,
  ]);

export const inAuth = (change: (auth: Mapping, cloud: Mapping) => Mapping): ((given: Case) => Case) =>
  inClouds((cloud) => (isMapping(cloud.auth) ? { ...cloud, auth: change(cloud.auth, cloud) } : cloud));

export const textOf = (tree: Tree | undefined): string | undefined =>
  isScalar(tree) && !isNull(tree) && tree.text !== '' ? tree.text : undefined;
