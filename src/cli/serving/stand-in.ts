import { systemClock } from '../../async/clock.js';
import { SURVIVAL_FILES, runDirOf } from '../../daemon/run-dir.js';
import { CinderfsError, EXIT } from '../../errors.js';
import { Answerer } from '../../fs/fuse/recovery/answerer.js';
import { FuseDevice } from '../../fs/fuse/channel/device.js';
import { HeldSince } from '../../fs/fuse/recovery/held-since.js';
import { openInFlight } from '../../fs/fuse/recovery/survival.js';
import type { SupervisorLink } from '../../supervisor/link.js';
import { keptConfig, type KeptSettings } from '../settings/kept-settings.js';
import { logFor } from '../settings/settings.js';

/** Answers for a mount that no engine serves, until it is killed or the mount is gone. */
export async function standIn(link: SupervisorLink): Promise<number> {
  // It must not keep a mount that no engine will ever serve again.
  link.onGone(() => process.exit(EXIT.ok));
  const loaded = keptConfig((await link.settings()) as KeptSettings);
  const { config } = loaded;
  const log = logFor(loaded);
  const { mount } = await link.begin();
  if (mount === undefined) throw new CinderfsError('internal', 'there is no mount to stand in for');
  const runDir = runDirOf(config, mount.mountpoint);
  const path = `${runDir}/${SURVIVAL_FILES.inFlight}`;
  const answerer = new Answerer({
    device: new FuseDevice(mount.fuseFd, log),
    inFlight: openInFlight({ path, fresh: false, agreement: mount.agreement, seats: 1, log }),
    since: new HeldSince(`${runDir}/${SURVIVAL_FILES.heldSince}`),
    readTimeoutMs: config.read_timeout * 1000,
    openTimeoutMs: config.open_timeout * 1000,
    clock: systemClock,
    log,
  });
  await answerer.run();
  link.ending();
  return EXIT.ok;
}
