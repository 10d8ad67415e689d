import { describeLeftBehind, leftBehind } from '../attach/journal/left-behind.js';
import { CinderfsError } from '../errors.js';

/** Of a mount whose daemon died, which detached nothing. Throws `detach_failed` naming what the journal has. */
export function refuseLeftBehind(mountpoint: string, stateDir: string): void {
  const left = leftBehind(stateDir);
  if (left.length === 0) return;
  const names = left.map(describeLeftBehind).join('; ');
  throw new CinderfsError('detach_failed', `still attached: ${names}`, {
    path: mountpoint,
    remedy: `The journal in ${stateDir} has it: \`cinderfs attachments ${mountpoint} --reap\` settles it, and so does the next \`cinderfs mount ${mountpoint}\`.`,
  });
}
