/** `npm run devcloud`: the embedded cloud as a command. stdout is one JSON line, stderr is talk. */

import { basename } from 'node:path';
import { parseArgs } from 'node:util';

import { CinderfsError, EXIT, reasonOf } from '../src/errors.js';
import { startDevcloud, type DevcloudOptions } from './devcloud.js';
import { APPLICATION_CREDENTIAL, USERS } from './identity.js';
import { specFromName } from './image-files.js';

const USAGE = `Usage: npm run devcloud -- --dir DIR [options]

Serves Keystone, Glance and Cinder on one port of this machine. Volumes are files under DIR/volumes. Every file in
DIR/images is an image: images/web.qcow2 is the image "web" of format qcow2; images/web.json may say more about it
(multiattach, status, name, size, store, location, ...: write it before the image). Attachments survive a restart.
When ready it prints one JSON line on stdout: the OS_* environment that reaches it. SIGTERM or Ctrl-C ends it.

  --dir DIR              the cloud's directory; made if missing
  --port N               port to listen on (default 0: any free one)
  --host ADDRESS         address to listen on (default 127.0.0.1)
  --add FILE             adds FILE as an image (repeatable); FILE itself is only read
  --token-ttl SECONDS    lifetime of tokens (default 3600)
  --page-limit N         page size of every listing (default: as the real services)
  --volume-bytes HOW     gib (default): volumes end at a whole GiB; exact: where the image ends
  --single-attach        new volumes are not multiattach
  --hide-locations       images come without locations and direct_url
  --user NAME            whose environment is printed (default cinderfs)
  --help

Users (the password is the name): ${Object.entries(USERS)
  .map(([name, user]) => `${name} (${describeRoles(user.roles)})`)
  .join(', ')}.
Application credential: id ${APPLICATION_CREDENTIAL.id}, secret ${APPLICATION_CREDENTIAL.secret}.
Faults on demand, the request log and administrative faults: /_devcloud/{faults,requests,state,images,...} on the same port.
`;

const OPTIONS = {
  dir: { type: 'string' },
  port: { type: 'string', default: '0' },
  host: { type: 'string', default: '127.0.0.1' },
  add: { type: 'string', multiple: true, default: [] as string[] },
  'token-ttl': { type: 'string', default: '3600' },
  'page-limit': { type: 'string' },
  'volume-bytes': { type: 'string', default: 'gib' },
  'single-attach': { type: 'boolean', default: false },
  'hide-locations': { type: 'boolean', default: false },
  user: { type: 'string', default: 'cinderfs' },
  help: { type: 'boolean', default: false },
} as const;

type Flags = ReturnType<typeof parseFlags>;

/** Runs until a signal ends it; the result is the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    const flags = parseFlags(argv);
    if (flags.help) {
      process.stdout.write(USAGE);
      return EXIT.ok;
    }
    await serve(flags);
    return EXIT.ok;
  } catch (error) {
    const line = CinderfsError.is(error) ? error.toLine() : reasonOf(error);
    process.stderr.write(`devcloud: ${line}\n`);
    return EXIT.usage;
  }
}

function parseFlags(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, strict: true }).values;
  } catch (error) {
    throw usageError(reasonOf(error));
  }
}

async function serve(flags: Flags): Promise<void> {
  const user = userNamed(flags.user);
  const devcloud = await startDevcloud(optionsFrom(flags));
  try {
    for (const file of flags.add) await addFile(devcloud, file);
    const ended = signalled();
    process.stdout.write(`${JSON.stringify(devcloud.envFor(user))}\n`);
    await ended;
  } finally {
    await devcloud.close();
  }
}

/** Once per name: a restart with the same --add does not make a second image. */
async function addFile(devcloud: Awaited<ReturnType<typeof startDevcloud>>, file: string): Promise<void> {
  const spec = specFromName(basename(file));
  const images = [...devcloud.cloud.images.values()];
  if (images.some((image) => image.name === spec.name && image.status !== 'deleted')) return;
  await devcloud.addImage(spec, { file });
}

function optionsFrom(flags: Flags): DevcloudOptions {
  if (flags.dir === undefined) throw usageError('--dir DIR is missing');
  const volumeBytes = flags['volume-bytes'];
  if (volumeBytes !== 'gib' && volumeBytes !== 'exact') {
    throw usageError(`--volume-bytes must be gib or exact, not ${volumeBytes}`);
  }
  const pageLimit = flags['page-limit'];
  return {
    dir: flags.dir,
    host: flags.host,
    port: wholeNumber('--port', flags.port, 0, 65_535),
    tokenTtlSeconds: wholeNumber('--token-ttl', flags['token-ttl'], 1),
    ...(pageLimit === undefined ? {} : { pageLimit: wholeNumber('--page-limit', pageLimit, 1) }),
    volumeBytes,
    multiattach: !flags['single-attach'],
    showLocations: !flags['hide-locations'],
  };
}

function wholeNumber(flag: string, text: string, min: number, max = Number.MAX_SAFE_INTEGER): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw usageError(`${flag} must be a whole number from ${min}, not ${text}`);
}

function userNamed(name: string): keyof typeof USERS {
  if (Object.hasOwn(USERS, name)) return name as keyof typeof USERS;
  throw usageError(`--user must be one of ${Object.keys(USERS).join(', ')}, not ${name}`);
}

function usageError(message: string): CinderfsError {
  return new CinderfsError('usage', message, { remedy: 'See `npm run devcloud -- --help`.' });
}

function signalled(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}

function describeRoles(roles: Readonly<Record<string, readonly string[]>>): string {
  return Object.entries(roles)
    .map(([project, names]) => `${names.join('+')} in ${project}`)
    .join(', ');
}

process.exitCode = await main(process.argv.slice(2));
