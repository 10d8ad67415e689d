import { sleep, systemClock } from '../async/clock.js';
import { nearest } from '../config/nearest.js';
import { CinderfsError, EXIT } from '../errors.js';
import { VERSION } from '../version.js';
import { generalHelp, verbHelp } from './command-line/help.js';
import { OutputStream } from './output/output-stream.js';
import { parseVerb } from './command-line/parse.js';
import { answerer } from './verbs/answerer.js';
import { engine } from './verbs/engine.js';
import { mount } from './verbs/mount.js';
import { VERBS } from './verbs.js';
import type { Invocation, Verb } from './command-line/verb.js';

/** Milliseconds that a daemon, which must end, gives a reader of its stderr that does not read. */
const LAST_WORDS_MS = 5_000;

/** Runs one command line (without node and script); resolves to the exit status when its output is written. Never rejects. */
export async function main(argv: readonly string[]): Promise<number> {
  const stdout = new OutputStream(process.stdout);
  const stderr = new OutputStream(process.stderr);
  const complain = (error: CinderfsError): void => stderr.write(`cinderfs: ${error.toLine()}\n`);
  const status = await dispatch(argv, {
    stdout: (text) => stdout.write(text),
    stderr: (text) => stderr.write(text),
  }).catch((thrown: unknown) => {
    const error = CinderfsError.from(thrown);
    complain(error);
    if (error.code === 'internal' && error.cause instanceof Error)
      stderr.write(`${error.cause.stack ?? ''}\n`);
    return error.kind.exit;
  });
  await stdout.drained();
  const final = stdout.statusOf(status, complain);
  const serves = [mount, engine, answerer].some(({ name }) => name === argv[0]);
  await Promise.race([stderr.drained(), ...(serves ? [sleep(systemClock, LAST_WORDS_MS)] : [])]);
  return final;
}

type Streams = Pick<Invocation, 'stdout' | 'stderr'>;

async function dispatch(argv: readonly string[], streams: Streams): Promise<number> {
  const [first, ...rest] = argv;
  if (first === undefined) {
    streams.stderr(generalHelp(VERBS));
    return EXIT.usage;
  }
  if (first === '--help' || first === '-h' || first === 'help') {
    streams.stdout(rest[0] === undefined ? generalHelp(VERBS) : verbHelp(verbCalled(rest[0], VERBS)));
    return EXIT.ok;
  }
  if (first === '--version') {
    streams.stdout(`cinderfs ${VERSION}\n`);
    return EXIT.ok;
  }
  const verb = verbCalled(first, [...VERBS, engine, answerer]);
  const parsed = parseVerb(verb, rest);
  if (parsed === 'help') {
    streams.stdout(verbHelp(verb));
    return EXIT.ok;
  }
  return verb.run({ ...parsed, ...streams, env: process.env });
}

function verbCalled(name: string, verbs: readonly Verb[]): Verb {
  const verb = verbs.find((one) => one.name === name);
  if (verb !== undefined) return verb;
  const names = VERBS.map((one) => one.name);
  const close = nearest(name, names);
  const hint = close === undefined ? `the commands are ${names.join(', ')}` : `did you mean '${close}'?`;
  throw new CinderfsError('usage', `unknown command '${name}'; ${hint}`);
}
