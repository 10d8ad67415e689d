/** Who logs in, where and with what. */
import { inAuth, inClouds, inFiles, inVariables, textOf } from './rewrites.js';
import type { Rule } from './rules.js';
import { isMapping, isScalar, quoted, type Mapping, type Tree } from './tree.js';

const OPTIONS_OF_PASSWORD = [
  ...[
    'auth_url',
    'username',
    'user_name',
    'user_id',
    'password',
    'domain_id',
    'domain_name',
    'user_domain_id',
  ],
  ...[
    'user_domain_name',
    'project_domain_id',
    'project_domain_name',
    'project_id',
    'project_name',
    'tenant_id',
  ],
  ...['tenant_name', 'trust_id'],
];
const OPTIONS_OF_CREDENTIAL = [
  ...[
    'auth_url',
    'application_credential_id',
    'application_credential_name',
    'application_credential_secret',
  ],
  ...['username', 'user_name', 'user_id', 'user_domain_id', 'user_domain_name', 'domain_id', 'domain_name'],
];

const typeOf = (cloud: Mapping): string => textOf(cloud.auth_type) ?? 'password';

function knownOptions(cloud: Mapping): readonly string[] {
  const type = typeOf(cloud);
  if (type === 'v3applicationcredential') return OPTIONS_OF_CREDENTIAL;
  return type === 'password'
    ? [...OPTIONS_OF_PASSWORD, 'default_domain_id', 'default_domain_name']
    : OPTIONS_OF_PASSWORD;
}

export const LOGIN_RULES: readonly Rule[] = [
  {
    name: 'outside wins',
    before: [1, 1],
    reason:
      'project and domains outside of auth win, as in openstacksdk from 1.1 on (story 2010784); in 0.101 they lose',
    rewrite: inClouds((cloud) => {
      const isMoved = (key: string): boolean =>
        /^(project|tenant|domain|user_domain|project_domain)_(id|name)$/.test(key);
      const outside = Object.entries(cloud).filter(
        ([key, value]) => isMoved(key) && textOf(value) !== undefined,
      );
      const rest = Object.fromEntries(Object.entries(cloud).filter(([key]) => !isMoved(key)));
      return {
        ...rest,
        auth: { ...(isMapping(cloud.auth) ? cloud.auth : {}), ...Object.fromEntries(outside) },
      };
    }),
  },
  {
    name: 'any form of auth_url',
    reason:
      'with the path of the login, or the version 2.0 that no Keystone has any more; openstacksdk adds /v3 to the one and asks the other',
    rewrite: (given) => {
      const shortened = (text: string): string =>
        text.replace(/\/v3\/auth\/tokens$/, '').replace(/\/v2\.0$/, '');
      return inVariables((name, value) => [name, name === 'OS_AUTH_URL' ? shortened(value) : value])(
        inFiles((key, value) => [
          key,
          key === 'auth_url' && isScalar(value) ? quoted(shortened(value.text)) : value,
        ])(given),
      );
    },
  },
  {
    name: 'kinds of application credentials',
    reason: 'auth_type may be left out or be called application_credential, the name in the API',
    rewrite: inClouds((cloud) => {
      const auth = isMapping(cloud.auth) ? cloud.auth : {};
      const implied =
        cloud.auth_type === undefined &&
        textOf(auth.password) === undefined &&
        textOf(cloud.password) === undefined &&
        textOf(auth.application_credential_secret) !== undefined;
      const alias = textOf(cloud.auth_type) === 'application_credential';
      return implied || alias ? { ...cloud, auth_type: quoted('v3applicationcredential') } : cloud;
    }),
  },
  {
    name: 'a domain for every name',
    reason:
      'v3password and credentials by name: the common domain or the default one, which openstacksdk wants to be told',
    rewrite: inAuth((auth, cloud) => {
      if (typeOf(cloud) === 'password') return auth;
      const has = (key: string): boolean =>
        textOf(auth[key]) !== undefined || textOf(cloud[key]) !== undefined;
      const common = (key: string): Tree | undefined => auth[key] ?? cloud[key];
      const added = ['user', 'project'].flatMap((owner): [string, Tree][] => {
        if (has(`${owner}_domain_id`) || has(`${owner}_domain_name`)) return [];
        if (has('domain_id')) return [[`${owner}_domain_id`, common('domain_id') ?? quoted('')]];
        if (has('domain_name')) return [[`${owner}_domain_name`, common('domain_name') ?? quoted('')]];
        return [[`${owner}_domain_id`, quoted('default')]];
      });
      return { ...auth, ...Object.fromEntries<Tree>(added) };
    }),
  },
  {
    name: 'an id needs no user',
    reason:
      'the id of an application credential is enough; openstacksdk checks the user that stands beside it',
    rewrite: inClouds((cloud) => {
      if (typeOf(cloud) !== 'v3applicationcredential' || !isMapping(cloud.auth)) return cloud;
      if (textOf(cloud.auth.application_credential_id) === undefined) return cloud;
      const rest = (tree: Mapping): Mapping =>
        Object.fromEntries(
          Object.entries(tree).filter(([key]) => !/^user(_?name|_id|_domain_id|_domain_name)$/.test(key)),
        );
      return { ...rest(cloud), auth: rest(cloud.auth) };
    }),
  },
  {
    name: 'no scope with an application credential',
    reason: 'it is bound to its project, and Keystone refuses a scope beside it; openstacksdk sends it',
    rewrite: inClouds((cloud) => {
      if (typeOf(cloud) !== 'v3applicationcredential' || !isMapping(cloud.auth)) return cloud;
      const unscoped = (tree: Mapping): Mapping =>
        Object.fromEntries(
          Object.entries(tree).filter(
            ([key]) => !/^(project|tenant|domain|project_domain)_(id|name)$/.test(key),
          ),
        );
      return { ...unscoped(cloud), auth: unscoped(cloud.auth) };
    }),
  },
  {
    name: 'what is not known is ignored',
    reason: 'keys of auth that this way to log in has not; openstacksdk ends with a TypeError',
    rewrite: inAuth((auth, cloud) =>
      Object.fromEntries(
        Object.entries(auth).filter(([key]) => knownOptions(cloud).includes(key.replaceAll('-', '_'))),
      ),
    ),
  },
];
