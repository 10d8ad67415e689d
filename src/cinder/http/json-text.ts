/** JSON of others, read within limits: parsed, a megabyte of brackets takes fifty times its size and all of our time. */

/** Deeper than any answer of OpenStack: connection_info and image locations have six levels. */
const MAX_DEPTH = 32;
/** Objects and lists: a page of 1,000 volumes with 100 attachments each has half of that. */
const MAX_CONTAINERS = 2 ** 18;

/** The text is JSON that is too large or too deep to parse. */
export class TooMuch extends Error {}

/** Throws TooMuch, or SyntaxError. */
export function parseJson(text: string): unknown {
  measure(text);
  return JSON.parse(text) as unknown;
}

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
const OPEN = new Set([0x5b, 0x7b]);
const CLOSE = new Set([0x5d, 0x7d]);

/** One pass, whatever the text is; what is no JSON is left to the parser. */
function measure(text: string): void {
  let depth = 0;
  let containers = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === QUOTE) index = endOfString(text, index);
    else if (OPEN.has(code)) {
      if (++depth > MAX_DEPTH) throw new TooMuch(`it nests deeper than ${MAX_DEPTH} levels`);
      if (++containers > MAX_CONTAINERS) throw new TooMuch(`it holds more than ${MAX_CONTAINERS} objects`);
    } else if (CLOSE.has(code)) depth--;
  }
}

/** Where the string that begins at `start` ends; the end of the text where it does not. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text.charCodeAt(end - 1 - escapes) === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return end;
  }
  return text.length;
}
