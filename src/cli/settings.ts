import { systemClock } from '../async/clock.js';
import type { Openstack } from '../cinder/openstack.js';
import { loadCloud } from '../config/cloud.js';
import type { CloudConfig } from '../config/cloud-config.js';
import { loadConfig, type LoadedConfig } from '../config/load.js';
import { createLog, type LevelledLog } from '../ops/log.js';
import type { Invocation } from './verb.js';

export interface Settings extends LoadedConfig {
  readonly log: LevelledLog;
}

/** The settings of this command line, and the log they ask for. */
export function settingsOf({ flags, env }: Invocation): Settings {
  const loaded = loadConfig({ flags, env });
  const { log_level: level, log_format: format } = loaded.config;
  const human = format === 'text' || (format === 'auto' && process.stderr.isTTY);
  return { ...loaded, log: createLog({ level, format: human ? 'text' : 'json' }) };
}

/** The cloud that the settings name. */
export function cloudOf(loaded: LoadedConfig, { env }: Invocation): CloudConfig {
  return loadCloud({ loaded, env });
}

/** A session with the cloud that the settings name; the caller closes it. */
export async function openstackFor(invocation: Invocation): Promise<Openstack> {
  const settings = settingsOf(invocation);
  const { config, log } = settings;
  const cloud = cloudOf(settings, invocation);
  // Not at the top: a supervisor must not carry what it never uses.
  const { connectOpenstack } = await import('../cinder/openstack.js');
  return connectOpenstack({ cloud, config, log, clock: systemClock });
}
