import { inspect } from 'node:util';
import { knownSecrets } from './known-secrets.js';

const HIDDEN = '<redacted>';

/**
 * A value that only reveal() returns: it does not appear in logs, errors, JSON or the debugger's console. This
 * process knows it from now on, so that texts of others that quote it can be rid of it (known-secrets.ts).
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
    knownSecrets.keep(this, value);
  }

  /** For the one line that sends it. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return HIDDEN;
  }

  toJSON(): string {
    return HIDDEN;
  }

  [inspect.custom](): string {
    return HIDDEN;
  }
}
