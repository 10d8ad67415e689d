/** A cloud as the files and variables have it: nested mappings of unchecked texts under openstacksdk's keys. */
export type Settings = Readonly<Record<string, unknown>>;

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Keys with dashes as underscores, at every level but below the keys named in `names`, whose keys are names. */
export function settingsOf(mapping: Readonly<Record<string, unknown>>, names = new Set<string>()): Settings {
  const entries = Object.entries(mapping).map(([rawKey, value]): [string, unknown] => {
    const key = rawKey.replaceAll('-', '_');
    return [key, isMapping(value) && !names.has(key) ? settingsOf(value) : value];
  });
  return Object.fromEntries(entries);
}

/** `over` wins key by key; mappings merge, anything else is replaced. What is null counts as not there. */
export function mergeSettings(base: Settings, over: Settings): Settings {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    if (value === null || value === undefined) continue;
    const below = merged[key];
    merged[key] = isMapping(below) && isMapping(value) ? mergeSettings(below, value) : value;
  }
  return merged;
}

/** The setting as text; undefined when absent, empty or not a scalar. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

const TRUE = ['true', 'yes', 'on'];
const FALSE = ['false', 'no', 'off'];

/** YAML 1.1's words for true and false, as PyYAML reads them; undefined for anything else. */
export function booleanOf(value: unknown): boolean | undefined {
  const word = textOf(value)?.toLowerCase();
  if (word === undefined) return undefined;
  if (TRUE.includes(word)) return true;
  return FALSE.includes(word) ? false : undefined;
}
