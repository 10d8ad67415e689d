import path from 'node:path';
import { detachFromShell, requireDescriptors } from '../process/detach-from-shell.js';
import type { EngineSettings } from './kept-settings.js';
import { keepDirectories } from './settings-directories.js';
import { cloudOf, loadSettings, logFor, workingDirectory } from './settings.js';
import type { Invocation } from '../command-line/verb.js';

/** What a mount is told by the shell that starts it, resolved once and for all. */
export interface ShellSettings extends EngineSettings {
  /** The working directory that relative paths were taken from. */
  readonly directory: string;
  /** Absolute. */
  readonly mountpoint: string;
}

/** Reads the settings of a mount, then lets go of the shell: nothing of it is needed, or to be found, any more. */
export function shellSettings(invocation: Invocation): ShellSettings {
  const directory = workingDirectory();
  const loaded = loadSettings({ ...invocation, directory });
  requireDescriptors(logFor(loaded));
  keepDirectories(loaded.config);
  const cloud = cloudOf(loaded, { ...invocation, directory });
  const [word = ''] = invocation.words;
  // Not path.resolve: what is above a symbolic link is not what its name says.
  const mountpoint = path.isAbsolute(word) ? word : `${directory}/${word}`;
  // A copy: what is for the settings alone is about to be taken out.
  const sources = { flags: invocation.flags, env: { ...invocation.env }, directory };
  detachFromShell(process.env);
  return { loaded, cloud, directory, mountpoint, reread: () => cloudOf(loadSettings(sources), sources) };
}
