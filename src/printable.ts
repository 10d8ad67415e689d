/** Text from outside, made harmless for terminals, logs and lists. On the lowest floor, as errors.ts. */

/**
 * What moves a cursor, turns the direction of text or cannot be seen: C0, DEL and C1 controls, format characters (bidi
 * overrides, zero width, BOM, tags), line and paragraph separators.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** `text` on one line: what cannot be printed is percent-encoded, line breaks too, as in the names below by-name. */
export function printableLine(text: string): string {
  return text.replace(UNPRINTABLE, (char) => encodeURIComponent(char));
}

/** The same for text of several lines: its line breaks stay. */
export function printable(text: string): string {
  return text.split('\n').map(printableLine).join('\n');
}

/** JSON text that means the same, with what cannot be printed as \u escapes; line breaks between its values stay. */
export function printableJson(json: string): string {
  return json.replace(UNPRINTABLE, (char) => (char === '\n' ? char : escapeUnits(char)));
}

function escapeUnits(char: string): string {
  return Array.from(
    { length: char.length },
    (_, index) => String.raw`\u${char.charCodeAt(index).toString(16).padStart(4, '0')}`,
  ).join('');
}
