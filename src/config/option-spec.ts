import type { Secret } from '../secret.js';

export type OptionType =
  | 'boolean'
  | 'bytes'
  | 'enum'
  | 'group'
  | 'integer'
  | 'list'
  | 'microversion'
  | 'mode'
  | 'path'
  | 'seconds'
  | 'secret'
  | 'string'
  | 'user';

/** Headings of --help and docs/configuration.md, in their order. */
export const OPTION_GROUPS = {
  general: 'General',
  openstack: 'OpenStack credentials',
  api: 'OpenStack services',
  attach: 'Attaching',
  files: 'Files',
  reading: 'Reading',
} as const;

type Default = string | number | boolean | readonly string[];

/** One row of the option table (options.ts). Its key is the name in the file; flag and variable derive from it. */
export interface OptionSpec {
  readonly type: OptionType;
  readonly group: keyof typeof OPTION_GROUPS;
  /** One sentence: what it does, in the operator's words. */
  readonly doc: string;
  /** Absent: the option may stay unset. A function is asked once, at load time. */
  readonly default?: Default | (() => Default);
  /** How the documentation names a default that is computed. */
  readonly defaultDoc?: string;
  /** Allowed values of an enum. */
  readonly values?: readonly string[];
  /** Bounds of a number, inclusive, in the unit of its value. */
  readonly min?: number;
  readonly max?: number;
  /** Environment variable, where it is not CINDERFS_<NAME>. */
  readonly env?: string;
  /** What the value is called in --help. */
  readonly metavar?: string;
  /** Secrets come from the environment or clouds.yaml only: a command line is readable by every user of the host. */
  readonly environmentOnly?: true;
}

/** The type of an option's value: seconds and bytes are numbers in that unit, users and groups are numeric ids. */
export type OptionValue<S extends OptionSpec> = 'default' extends keyof S
  ? Present<S>
  : Present<S> | undefined;

type Present<S extends OptionSpec> = S['type'] extends 'boolean'
  ? boolean
  : S['type'] extends 'bytes' | 'group' | 'integer' | 'mode' | 'seconds' | 'user'
    ? number
    : S['type'] extends 'list'
      ? readonly string[]
      : S['type'] extends 'secret'
        ? Secret
        : S extends { readonly values: readonly (infer V)[] }
          ? V
          : string;

/** `--image-list-ttl` for `image_list_ttl`. */
export function flagOf(name: string): string {
  return `--${name.replaceAll('_', '-')}`;
}

/** `CINDERFS_IMAGE_LIST_TTL` for `image_list_ttl`, or the variable the table gives. */
export function variableOf(name: string, spec: OptionSpec): string {
  return spec.env ?? `CINDERFS_${name.toUpperCase()}`;
}
