import {
  engineSettings,
  keepSettings,
  keptConfig,
  withoutSecrets,
  type KeptSettings,
} from '../../../src/cli/settings/kept-settings.js';
import { loadCloud } from '../../../src/config/cloud.js';
import { loadConfig } from '../../../src/config/load.js';
import { VERSION } from '../../../src/version.js';
import { temporaryFolder } from '../../support/temporary.js';
import { attempt, type Target } from '../target.js';

const env = {
  OS_AUTH_URL: 'http://k/v3',
  OS_USERNAME: 'u',
  OS_PASSWORD: 'pass-word-1',
  OS_PROJECT_NAME: 'p',
  HOME: '/nonexistent',
};

const say = (): void => undefined;

function settings(): KeptSettings {
  const flags = { 'config-file': '/dev/null' };
  const loaded = loadConfig({ flags, env, directory: '/', uid: 65_534 });
  const cloud = loadCloud({ loaded, env, directory: '/nonexistent', uid: 65_534 });
  return keepSettings({ words: [], flags, env, stdout: say, stderr: say }, { loaded, cloud, directory: '/' });
}

/** What a supervisor tells its engines, of whatever version, of how the mount was started. */
export const keptSettings: Target = {
  name: 'kept-settings',
  seeds: [Buffer.from(JSON.stringify(settings())), Buffer.from(JSON.stringify(withoutSecrets(settings())))],
  words: ['"$secret":', '"$number":', '"config":', '"origins":', 'null', '"loaded":', '"certificates":'],
  async open(undo) {
    const folder = await temporaryFolder(undo);
    return (input) => {
      const value = parsed(input);
      attempt(() => keptConfig(value as KeptSettings));
      // As this version wrote it, without certificates: nothing is read anew or written where the input says.
      if (typeof value === 'object' && value !== null)
        attempt(() =>
          engineSettings({ ...(value as KeptSettings), version: VERSION, certificates: {} }, folder),
        );
    };
  },
};

function parsed(input: Buffer): unknown {
  try {
    return JSON.parse(input.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}
