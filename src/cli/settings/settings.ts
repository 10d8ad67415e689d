import { isatty } from 'node:tty';
import { loadCloud } from '../../config/cloud.js';
import type { CloudConfig } from '../../config/cloud-config.js';
import { loadConfig, type LoadedConfig } from '../../config/load.js';
import type { Log } from '../../log.js';
import { createLog } from '../../ops/log.js';
import type { Invocation } from '../command-line/verb.js';

export interface Settings extends LoadedConfig {
  readonly log: Log;
}

/** Where settings are read from; relative paths start at `directory`. */
export interface SettingsSources extends Pick<Invocation, 'flags' | 'env'> {
  readonly directory?: string;
}

/** The settings of this command line, and the log they ask for. */
export function settingsOf(sources: SettingsSources): Settings {
  const loaded = loadSettings(sources);
  return { ...loaded, log: logFor(loaded) };
}

export function loadSettings({ flags, env, directory = workingDirectory() }: SettingsSources): LoadedConfig {
  return loadConfig({ flags, env, directory });
}

/** The log that the settings ask for, on `fd`. */
export function logFor({ config }: Pick<LoadedConfig, 'config'>, fd = 2): Log {
  const { log_level: level, log_format: format } = config;
  const human = format === 'text' || (format === 'auto' && isatty(fd));
  return createLog({ level, format: human ? 'text' : 'json', fd });
}

/** The cloud that the settings name. */
export function cloudOf(
  loaded: LoadedConfig,
  { env, directory = workingDirectory() }: Pick<SettingsSources, 'env' | 'directory'>,
): CloudConfig {
  return loadCloud({ loaded, env, directory });
}

/** The root where it was removed under this process: then nothing relative can be found. */
export function workingDirectory(): string {
  try {
    return process.cwd();
  } catch {
    return '/';
  }
}
