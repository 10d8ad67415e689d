import { inspect } from 'node:util';

const HIDDEN = '<redacted>';

/** A value that shows itself only to who asks with reveal(): not to logs, errors, JSON or the debugger's console. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

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
