/** The mount that a word of a command line names. */
import { mountCalled, nameOfMount, type MountName } from '../../fs/mount/mount-name.js';
import { ControlClient } from './control-client.js';
import { settingsOf } from '../settings/settings.js';
import type { Invocation } from '../command-line/verb.js';

export interface NamedMount extends MountName {
  readonly client: ControlClient;
}

/** For commands that take a mount point or anything in a mount. */
export async function mountWith(invocation: Invocation, word = ''): Promise<NamedMount> {
  const name = await nameOfMount(word);
  return { ...name, client: clientFor(invocation, name.mountpoint) };
}

/** For commands about the mount as a whole. `usage` for something in a mount. */
export async function wholeMount(invocation: Invocation, word = ''): Promise<NamedMount> {
  const mountpoint = await mountCalled(word);
  return { mountpoint, inside: '', client: clientFor(invocation, mountpoint) };
}

function clientFor(invocation: Invocation, mountpoint: string): ControlClient {
  return ControlClient.forMountpoint(settingsOf(invocation).config.run_dir, mountpoint);
}
