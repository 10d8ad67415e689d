/**
 * Where we differ from openstacksdk, on purpose. A difference is explained when openstacksdk, asked about the case as
 * the rule rewrites it, answers what we answer to the case as it is; a refusal of ours when its message says so.
 * docs/openstack-settings.md tells operators the same.
 */
import type { Case } from './cases.js';
import { LOGIN_RULES } from './login-rules.js';
import { VALUE_RULES } from './value-rules.js';

export interface Rule {
  readonly name: string;
  readonly reason: string;
  readonly rewrite: (given: Case) => Case;
  /** The first version of openstacksdk that is known to do as we do; absent where none is. */
  readonly before?: readonly [major: number, minor: number];
}

const RULES: readonly Rule[] = [...VALUE_RULES, ...LOGIN_RULES];

/** The rules by which this version of openstacksdk differs from us. */
export function rulesFor(version: string): readonly Rule[] {
  return RULES.filter((rule) => differs(rule, version));
}

/** What we refuse and this version of openstacksdk does not. */
export function refusalsFor(version: string): readonly Refusal[] {
  return REFUSALS.filter((refusal) => differs(refusal, version));
}

function differs({ before }: Pick<Rule, 'before'>, version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return before === undefined || major < before[0] || (major === before[0] && minor < before[1]);
}

export interface Refusal extends Pick<Rule, 'name' | 'reason' | 'before'> {
  /** What our message says. */
  readonly message: RegExp;
}

const REFUSALS: readonly Refusal[] = [
  {
    name: 'ways to log in',
    reason: 'a daemon has a password or an application credential, nobody to ask and no browser',
    message: /auth_type '.*' is not supported|trust_id is not supported/,
  },
  {
    name: 'a project is needed',
    reason:
      'Cinder and Glance answer for one project; a token of a domain, of the system or of nothing has none',
    message: /project_name or project_id is missing/,
  },
  {
    name: 'something is missing',
    reason: 'openstacksdk sends a login without it, which Keystone refuses',
    message: /(username or user_id|application_credential_\w+) is missing/,
  },
  {
    name: 'a password is missing',
    before: [4, 4],
    reason: 'keystoneauth of 0.101 sends a login without it; that of 4.4 refuses, too',
    message: /password is missing/,
  },
  {
    name: 'braces in auth_url',
    reason: 'no host has such a name; openstacksdk asks for it',
    message: /auth_url '.*' has braces/,
  },
  {
    name: 'placeholders',
    reason:
      'of settings that are not there; openstacksdk fills in nothing where the region is not known, and asks http://.test',
    message: /which is not the name of a setting/,
  },
  {
    name: 'interfaces',
    reason: 'Keystone has these three',
    message: /interface '.*' must be public, internal or admin/,
  },
];
