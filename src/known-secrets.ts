/** The secrets of this process, and how texts and values are rid of them: by what they are, not by what they look like. */

const HIDDEN = '<redacted>';

/** Shorter ones occur in ordinary words; such a password protects nothing. */
const SHORTEST = 4;

/** Secrets that nothing holds any more and that are still looked for: a late answer of a service may quote them. */
const PAST = 256;

/** What is public in every installation, whatever has been made a password. */
const PUBLIC = ['cinderfs', 'true', 'false', 'null', 'none'];

/** Deeper values are left out whole. */
const DEPTH = 32;

/** A set of secret texts. One per process: `knownSecrets`. */
export class KnownSecrets {
  /** How many living holders each has. */
  readonly #held = new Map<string, number>();
  /** Oldest first. */
  readonly #past = new Set<string>();
  readonly #public = new Set(PUBLIC);
  readonly #holders = new FinalizationRegistry<string>((value) => this.#drop(value));
  #pattern: RegExp | undefined;
  #stale = true;

  /** Looks for `value` as long as `holder` lives, and then among the last 256. */
  keep(holder: object, value: string): void {
    if (value.length < SHORTEST) return;
    const holders = this.#held.get(value) ?? 0;
    this.#held.set(value, holders + 1);
    this.#holders.register(holder, value);
    if (holders === 0 && !this.#past.delete(value)) this.#stale = true;
  }

  /** The name of a user or project is no secret, though it is the password as well: every log line has it. */
  isPublic(name: string): void {
    this.#public.add(name);
    this.#stale = true;
  }

  /** `text` without any of them, as they are or as JSON, URLs and base64 write them. */
  hide(text: string): string {
    const pattern = this.#current();
    return pattern === undefined ? text : text.replace(pattern, HIDDEN);
  }

  /** A copy of what a log would show of `value`, rid of secrets at any depth, in keys as well. */
  hideIn(value: unknown): unknown {
    return this.#copy(value, []);
  }

  #copy(value: unknown, above: readonly object[]): unknown {
    if (typeof value === 'string') return this.hide(value);
    if (typeof value !== 'object' || value === null) return value;
    if (above.includes(value) || above.length >= DEPTH) return '...';
    const within = [...above, value];
    if (hasToJson(value)) return this.#copy(value.toJSON(), within);
    if (Array.isArray(value) || value instanceof Set) {
      return [...value].map((item: unknown) => this.#copy(item, within));
    }
    return Object.fromEntries(
      membersOf(value).map(([key, member]) => [this.hide(key), this.#copy(member, within)]),
    );
  }

  #drop(value: string): void {
    const left = (this.#held.get(value) ?? 1) - 1;
    if (left > 0) {
      this.#held.set(value, left);
      return;
    }
    this.#held.delete(value);
    this.#past.add(value);
    const [oldest] = this.#past;
    if (oldest !== undefined && this.#past.size > PAST) {
      this.#past.delete(oldest);
      this.#stale = true;
    }
  }

  #current(): RegExp | undefined {
    if (this.#stale) {
      this.#pattern = patternOf(
        [...this.#held.keys(), ...this.#past].filter((value) => !this.#public.has(value)),
      );
      this.#stale = false;
    }
    return this.#pattern;
  }
}

export const knownSecrets = new KnownSecrets();

/** Longest first, so that no part of a longer one is left over. */
function patternOf(values: readonly string[]): RegExp | undefined {
  const forms = [...new Set(values.flatMap(formsOf))].sort((a, b) => b.length - a.length);
  return forms.length === 0 ? undefined : new RegExp(forms.map(expression).join('|'), 'g');
}

function formsOf(value: string): string[] {
  const base64 = Buffer.from(value).toString('base64').replace(/=+$/, '');
  return [
    value,
    JSON.stringify(value).slice(1, -1),
    encodeURIComponent(Buffer.from(value).toString()),
    base64,
  ];
}

/** Short ones as whole words only: a password "pass" must not make holes in "password". */
function expression(form: string): string {
  const literal = form.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
  if (form.length >= 8) return literal;
  return `${/^\w/.test(form) ? '(?<!\\w)' : ''}${literal}${/\w$/.test(form) ? '(?!\\w)' : ''}`;
}

function hasToJson(value: object): value is { toJSON(): unknown } {
  return 'toJSON' in value && typeof value.toJSON === 'function';
}

/** What an error says stands in members that are not enumerable. */
function membersOf(value: object): [string, unknown][] {
  if (value instanceof Map)
    return [...value].map(([key, member]: [unknown, unknown]) => [String(key), member]);
  if (!(value instanceof Error)) return Object.entries(value);
  const { name, message, stack, cause } = value;
  return [
    ...Object.entries({ name, message, stack, ...(cause === undefined ? {} : { cause }) }),
    ...Object.entries(value),
  ];
}
