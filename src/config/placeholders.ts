import { CinderfsError } from '../errors.js';

/** The text of the setting `key`, its placeholders filled in. */
export type Fill = (key: string, text: string | undefined) => string | undefined;

/**
 * `text` with each `{name}` replaced as Python's str.format does, `{{` and `}}` standing for braces. Throws
 * `config_invalid` for a name that is no setting or must not be shown; `what` names the text.
 */
export function fillIn(text: string, valueOf: (name: string) => string | undefined, what: string): string {
  return text.replace(/\{\{|\}\}|\{([^{}]*)\}|[{}]/g, (found, name: string | undefined) => {
    if (found === '{{' || found === '}}') return found.charAt(0);
    const value = name === undefined ? undefined : valueOf(name);
    if (value !== undefined) return value;
    throw new CinderfsError(
      'config_invalid',
      `${what} has ${name === undefined ? `a single '${found}'; write it twice` : `{${name}}, which is not the name of a setting`}`,
    );
  });
}
