import { CinderfsError, EXIT } from '../errors.js';
import { VERSION } from '../version.js';
import { generalHelp, verbHelp } from './help.js';
import { parseVerb } from './parse.js';
import { answerer } from './verbs/answerer.js';
import { attachments } from './verbs/attachments.js';
import { demo } from './verbs/demo.js';
import { engine } from './verbs/engine.js';
import { images } from './verbs/images.js';
import { mount } from './verbs/mount.js';
import { release } from './verbs/release.js';
import { status } from './verbs/status.js';
import { umount } from './verbs/umount.js';
import { upgrade } from './verbs/upgrade.js';
import type { Verb } from './verb.js';

/** Every verb, in the order in which `cinderfs --help` lists them. */
export const VERBS: readonly Verb[] = [mount, umount, upgrade, images, status, attachments, release, demo];

/** Runs one command line (without node and script); resolves to the exit status. Never rejects. */
export async function main(argv: readonly string[]): Promise<number> {
  const stdout = (text: string): void => void process.stdout.write(text);
  const stderr = (text: string): void => void process.stderr.write(text);
  // A reader that closes early (`cinderfs images | head`) is no error of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.ok);
    throw error;
  });
  try {
    return await dispatch(argv, stdout, stderr);
  } catch (thrown) {
    const error = CinderfsError.from(thrown);
    stderr(`cinderfs: ${error.toLine()}\n`);
    if (error.code === 'internal' && error.cause instanceof Error) stderr(`${error.cause.stack ?? ''}\n`);
    return error.kind.exit;
  }
}

async function dispatch(
  argv: readonly string[],
  stdout: (text: string) => void,
  stderr: (text: string) => void,
): Promise<number> {
  const [first, ...rest] = argv;
  if (first === undefined || first === '--help' || first === '-h' || first === 'help') {
    const verb = VERBS.find(({ name }) => name === rest[0]);
    (first === undefined ? stderr : stdout)(verb === undefined ? generalHelp(VERBS) : verbHelp(verb));
    return first === undefined ? EXIT.usage : EXIT.ok;
  }
  if (first === '--version') {
    stdout(`cinderfs ${VERSION}\n`);
    return EXIT.ok;
  }
  const verb = [...VERBS, engine, answerer].find(({ name }) => name === first);
  if (verb === undefined) {
    throw new CinderfsError(
      'usage',
      `there is no verb '${first}'; there are ${VERBS.map(({ name }) => name).join(', ')}`,
    );
  }
  const parsed = parseVerb(verb, rest);
  if (parsed === 'help') {
    stdout(verbHelp(verb));
    return EXIT.ok;
  }
  return verb.run({ ...parsed, env: process.env, stdout, stderr });
}
