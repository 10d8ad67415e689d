import { systemClock } from '../async/clock.js';
import type { Config } from '../config/options.js';
import { FallbackResponder } from '../fs/fuse/recovery/fallback-responder.js';
import { DevFuseChannel } from '../fs/fuse/channel/dev-fuse/dev-fuse-channel.js';
import { RequestAges } from '../fs/fuse/recovery/request-ages.js';
import { openInFlight } from '../fs/fuse/recovery/takeover-state.js';
import type { Log } from '../log.js';
import type { ExistingMount } from '../supervisor/link.js';
import { runDirOf, SURVIVAL_FILES } from './run-dir.js';

/** Answers the requests of a mount that no engine serves; resolves when the kernel has let go of the mount. */
export async function answerAsFallback(mount: ExistingMount, config: Config, log: Log): Promise<void> {
  const runDir = runDirOf(config, mount.mountpoint);
  const path = `${runDir}/${SURVIVAL_FILES.inFlight}`;
  const answerer = new FallbackResponder({
    channel: new DevFuseChannel(mount.fuseFd, log),
    inFlight: openInFlight({ path, fresh: false, agreement: mount.agreement, workers: 1, log }),
    since: new RequestAges(`${runDir}/${SURVIVAL_FILES.heldSince}`),
    readTimeoutMs: config.read_timeout * 1000,
    openTimeoutMs: config.open_timeout * 1000,
    clock: systemClock,
    log,
  });
  await answerer.run();
}
