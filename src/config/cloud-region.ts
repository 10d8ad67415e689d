import { CinderfsError } from '../errors.js';
import { isMapping, settingsOf, textOf, type Settings } from './settings.js';

/** One region of a cloud, and the settings that hold there. */
export interface CloudRegion {
  readonly name: string;
  readonly values: Settings;
}

/**
 * The region `wanted`, or the first one that `cloud` lists, or else its vendor `profile`. Throws `config_invalid` for
 * one that is not listed; where nothing is listed any name will do.
 */
export function regionOf(
  { name, settings, profile }: Readonly<{ name: string; settings: Settings; profile: Settings }>,
  wanted: string | undefined,
): CloudRegion {
  const known = knownRegions(settings) ?? knownRegions(profile) ?? [];
  const found = wanted === undefined ? known[0] : known.find((region) => region.name === wanted);
  if (found !== undefined) return found;
  if (known.length === 0) return { name: wanted ?? '', values: {} };
  throw new CinderfsError(
    'config_invalid',
    `cloud '${name}' has no region '${wanted ?? ''}'; it has ${known.map((region) => region.name).join(', ')}`,
  );
}

/** `regions` is a list of names or of {name, values}; `region_name` may be a list, too, or separated by commas. */
function knownRegions({ regions, region_name: named }: Settings): readonly CloudRegion[] | undefined {
  const listed = regions ?? named;
  if (Array.isArray(listed)) return listed.length === 0 ? undefined : listed.map(regionIn);
  const names = textOf(listed);
  return names?.split(',').map((text) => ({ name: text.trim(), values: {} }));
}

function regionIn(entry: unknown): CloudRegion {
  if (!isMapping(entry)) return { name: textOf(entry) ?? '', values: {} };
  return { name: textOf(entry.name) ?? '', values: isMapping(entry.values) ? settingsOf(entry.values) : {} };
}
