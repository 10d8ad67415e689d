import type { OPTION_GROUPS } from '../../config/option-spec.js';

export type FlagValue = string | boolean | (string | boolean)[] | undefined;
/** As util.parseArgs answers: by flag name without dashes. */
export type FlagValues = Readonly<Record<string, FlagValue>>;

/** One thing a person can type after `cinderfs`. */
export interface Verb {
  readonly name: string;
  /** The words after the verb, e.g. `DIR`. */
  readonly usage: string;
  readonly summary: string;
  /** How many words the verb takes. */
  readonly words: { readonly min: number; readonly max: number };
  /** Flags of this verb alone. */
  readonly flags: readonly VerbFlag[];
  /** Groups of the option table whose flags the verb also takes. */
  readonly optionGroups: readonly (keyof typeof OPTION_GROUPS)[];
  readonly examples: readonly string[];
  /** Does the job; the number is the exit status. Errors are thrown as CinderfsError. */
  run(invocation: Invocation): Promise<number>;
}

export interface VerbFlag {
  readonly name: string;
  readonly short?: string;
  /** Placeholder of the value in help; a flag without one is a switch. */
  readonly value?: string;
  /** The value of a flag that is given without one; its own value is then joined to it by `=`, or a number. */
  readonly bare?: string;
  readonly multiple?: boolean;
  readonly doc: string;
}

export interface Invocation {
  readonly words: readonly string[];
  readonly flags: FlagValues;
  readonly env: NodeJS.ProcessEnv;
  /** Data. */
  readonly stdout: (text: string) => void;
  /** Talk. */
  readonly stderr: (text: string) => void;
}
