import { CinderfsError } from '../errors.js';
import { parseOsloIni } from './oslo-ini.js';

/** A setting of cinderfs.conf and the line it stands on. */
export interface FileSetting {
  readonly name: string;
  readonly value: string;
  readonly line: number;
}

const SECTIONS = ['DEFAULT', 'cinderfs'];

/**
 * The settings of cinderfs.conf, under [DEFAULT], [cinderfs] or no section; dashes in names count as underscores.
 * Throws `config_invalid` with the place for anything else.
 */
export function settingsIn(text: string, path: string): readonly FileSetting[] {
  return parseOsloIni(text).flatMap((item) => {
    const fail = (what: string): never => {
      throw new CinderfsError('config_invalid', `${path}:${item.line}: ${what}`, { path });
    };
    switch (item.kind) {
      case 'fault':
        return fail(item.what);
      case 'section':
        return SECTIONS.includes(item.section)
          ? []
          : fail(`section [${item.section}] is unknown; there is only [DEFAULT]`);
      case 'setting':
        return [{ name: item.name.replaceAll('-', '_'), value: item.value, line: item.line }];
    }
  });
}
