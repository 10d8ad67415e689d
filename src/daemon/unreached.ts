import { existsSync } from 'node:fs';
import path from 'node:path';
import { CinderfsError } from '../errors.js';
import { isMountOfOurs } from '../fs/mount/our-mounts.js';
import { findMount } from '../sys/mounts/mount-table.js';
import { controlSocketPath } from '../ops/control-socket.js';
import { listeningSockets, processWith } from '../sys/processes/socket-table.js';
import { distrust } from '../sys/files/trusted-path.js';

/**
 * Why no daemon was reached at the control socket of `mountpoint` in `runDir`, and the way out: `not_running`, or
 * `unreachable` where one serves all the same.
 */
export async function unreached(runDir: string, mountpoint: string, cause: unknown): Promise<CinderfsError> {
  const mount = await findMount(mountpoint);
  if (mount === undefined || !isMountOfOurs(mount))
    return new CinderfsError('not_running', `no cinderfs daemon serves ${mountpoint} (run_dir ${runDir})`, {
      path: mountpoint,
      cause,
    });
  return elsewhere(runDir, mountpoint, cause) ?? silent(runDir, mountpoint, cause);
}

/** A mount point that is busy, where it is ours but of a daemon with another run_dir: that is said. */
export function explainBusy(error: unknown, runDir: string): unknown {
  if (!CinderfsError.is(error) || error.code !== 'mountpoint_busy') return error;
  const found = elsewhere(runDir, error.context.path ?? '', error);
  if (found === undefined) return error;
  const { remedy } = found;
  return new CinderfsError('mountpoint_busy', `${error.message}, and ${found.message}`, {
    ...error.context,
    remedy,
  });
}

/** It listens, but not where it was looked for. */
function elsewhere(runDir: string, mountpoint: string, cause: unknown): CinderfsError | undefined {
  const asked = controlSocketPath(runDir, mountpoint);
  const socket = listeningSockets().find(
    // Any user may bind such a name somewhere: what other users could have made is not recommended.
    (one) => path.basename(one.path) === path.basename(asked) && isTrusted(one.path),
  );
  if (socket === undefined) return undefined;
  const actual = path.dirname(socket.path);
  const context = { path: mountpoint, cause };
  if (existsSync(socket.path) && actual !== path.resolve(runDir))
    return new CinderfsError('unreachable', `the daemon of ${mountpoint} does not use run_dir ${runDir}`, {
      ...context,
      remedy: `It uses ${actual}: give --run-dir=${actual}.`,
    });
  if (existsSync(socket.path)) return undefined;
  const pid = processWith(socket.inode, process.geteuid?.() ?? 0);
  const which = pid === undefined ? 'its process' : `process ${pid}`;
  return new CinderfsError('unreachable', `the control socket ${socket.path} was removed under its daemon`, {
    ...context,
    remedy: `${mountpoint} is served all the same. To make a new socket, end it by umount(8) or by SIGTERM to ${which}, then mount it again.`,
  });
}

function silent(runDir: string, mountpoint: string, cause: unknown): CinderfsError {
  return new CinderfsError(
    'not_running',
    `${mountpoint} is mounted, but no daemon answers for it in run_dir ${runDir}`,
    {
      path: mountpoint,
      cause,
      remedy:
        `If it was mounted with another --run-dir, give that one. If its daemon died, \`cinderfs mount ${mountpoint}\`` +
        ` takes it over and \`cinderfs umount ${mountpoint}\` removes it.`,
    },
  );
}

function isTrusted(socket: string): boolean {
  try {
    return socket.startsWith('/') && distrust(socket) === undefined;
  } catch {
    return false;
  }
}
