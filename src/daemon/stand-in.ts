import { systemClock } from '../async/clock.js';
import type { Config } from '../config/options.js';
import { Answerer } from '../fs/fuse/recovery/answerer.js';
import { FuseDevice } from '../fs/fuse/channel/device.js';
import { HeldSince } from '../fs/fuse/recovery/held-since.js';
import { openInFlight } from '../fs/fuse/recovery/survival.js';
import type { Log } from '../log.js';
import type { StandingMount } from '../supervisor/link.js';
import { runDirOf, SURVIVAL_FILES } from './run-dir.js';

/** Answers the requests of a mount that no engine serves; resolves when the kernel has let go of the mount. */
export async function standInFor(mount: StandingMount, config: Config, log: Log): Promise<void> {
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
}
