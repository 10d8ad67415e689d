import { answerAsFallback } from '../../daemon/fallback.js';
import { CinderfsError, EXIT } from '../../errors.js';
import type { SupervisorLink } from '../../supervisor/link.js';
import { keptConfig, type KeptSettings } from '../settings/kept-settings.js';
import { logFor } from '../settings/settings.js';

/** Answers for a mount that no engine serves, until it is killed or the mount is gone. */
export async function runFallback(link: SupervisorLink): Promise<number> {
  // It must not keep a mount that no engine will ever serve again.
  link.onGone(() => process.exit(EXIT.ok));
  const loaded = keptConfig((await link.settings()) as KeptSettings);
  const { config } = loaded;
  const log = logFor(loaded);
  const { mount } = await link.begin();
  if (mount === undefined) throw new CinderfsError('internal', 'there is no mount to stand in for');
  await answerAsFallback(mount, config, log);
  link.ending();
  return EXIT.ok;
}
