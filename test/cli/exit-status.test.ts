/** Every exit status that docs/exit-codes.md promises is given by a command line, and no other is promised. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { CinderfsError, ERROR_KINDS, EXIT, type ErrorCode } from '../../src/errors.js';
import { startControlServer } from '../../src/ops/control-server.js';
import { controlSocketPath } from '../../src/ops/control-socket.js';
import { fakeCloud, send } from '../support/fake-cloud.js';
import { cinderfs, LAUNCHER, run } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

/** What a status stands for besides those of EXIT: the reader of stdout has left. */
const READER_LEFT = 141;

type Provoke = (t: TestContext) => Promise<number | null>;

/** One command line for each status; `EXIT` says what the numbers are. */
const PROVOKED: Readonly<Record<keyof typeof EXIT, Provoke>> = {
  ok: () => statusOf(['--version']),
  usage: () => statusOf([]),
  config: () => statusOf(['images', '--http-retries', 'many']),
  // Nothing listens on port 1.
  auth: () => statusOf(['images'], { ...LOGIN, OS_AUTH_URL: 'http://127.0.0.1:1/v3' }),
  mountpoint: async (t) => {
    const dir = await temporaryFolder(new Undo(t));
    const env = { ...LOGIN, CINDERFS_RUN_DIR: `${dir}/run`, CINDERFS_STATE_DIR: `${dir}/state` };
    return statusOf(['mount', '/dev/null', '--no-supervise'], env);
  },
  busy: (t) => released(t, 'volume_busy'),
  fuse: (t) => released(t, 'fuse_failed'),
  connector: (t) => released(t, 'connector_failed'),
  not_running: () => statusOf(['status', '/nonexistent'], { CINDERFS_RUN_DIR: '/nonexistent' }),
  timeout: (t) => listed(t, 'never'),
  openstack: (t) => listed(t, 500),
  internal: (t) => released(t, undefined),
  output: async () => (await run('bash', ['-c', `"$0" "$1" --help >/dev/full`, ...PROGRAM])).status,
};

const PROGRAM = [process.execPath, LAUNCHER];
const LOGIN = {
  OS_AUTH_URL: 'http://127.0.0.1:1/v3',
  OS_USERNAME: 'u',
  OS_PASSWORD: 'p',
  OS_PROJECT_NAME: 'x',
  OS_USER_DOMAIN_ID: 'default',
  OS_PROJECT_DOMAIN_ID: 'default',
  CINDERFS_HTTP_RETRIES: '0',
};

describe('the exit status', () => {
  for (const [name, provoke] of Object.entries(PROVOKED) as [keyof typeof EXIT, Provoke][])
    it(`${EXIT[name]} is given: ${name}`, async (t) => assert.equal(await provoke(t), EXIT[name]));

  it(`${READER_LEFT} is given when the reader of stdout has left`, async () => {
    const script = 'set -o pipefail; exec 3>&1; { "$0" "$1" --help; echo $? >&3; } | exec true';
    const { stdout } = await run('bash', ['-c', script, ...PROGRAM]);
    assert.equal(stdout, `${READER_LEFT}\n`);
  });

  it('of every kind is what it always was', () => {
    assert.deepEqual(EXIT, {
      ok: 0,
      usage: 2,
      config: 3,
      auth: 4,
      mountpoint: 5,
      busy: 6,
      fuse: 7,
      connector: 8,
      not_running: 9,
      timeout: 11,
      openstack: 12,
      internal: 70,
      output: 74,
    });
    const given = new Set<number>(Object.values(ERROR_KINDS).map(({ exit }) => exit));
    for (const [name, status] of Object.entries(EXIT))
      if (name !== 'ok') assert.ok(given.has(status), `no error ends with ${name}`);
  });

  it('is what docs/exit-codes.md says, in both directions', () => {
    const text = readFileSync('docs/exit-codes.md', 'utf8');
    const rows = [...text.matchAll(/^\| (\d+) \| (\w+) \| .+ \|$/gm)].map(([, status, name]) => [
      name,
      Number(status),
    ]);
    assert.deepEqual(Object.fromEntries(rows), EXIT);
    assert.ok(text.includes(`ends with ${READER_LEFT}`));
    const errors = readFileSync('docs/errors.md', 'utf8');
    for (const [code, { exit }] of Object.entries(ERROR_KINDS))
      assert.match(errors, new RegExp(`\`${code}\` \\| \\w+ \\| ${exit} \\|`));
  });
});

async function statusOf(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<number | null> {
  return (await cinderfs(args, env)).status;
}

/** What `release` ends with when the daemon answers with `code`; undefined: with a bug. */
async function released(t: TestContext, code: ErrorCode | undefined): Promise<number | null> {
  const undo = new Undo(t);
  const runDir = await temporaryFolder(undo);
  const mountpoint = path.join(runDir, 'images');
  const server = await startControlServer(controlSocketPath(runDir, mountpoint), {
    'POST /release': () => {
      throw code === undefined ? new TypeError('a bug') : new CinderfsError(code, 'as the test wants it');
    },
    'GET /status': () => ({ state: 'serving' }),
  });
  undo.after(() => server.close());
  return statusOf(['release', 'image', mountpoint], { CINDERFS_RUN_DIR: runDir });
}

/** What `images` ends with when Glance answers every call with `status`, or never. */
async function listed(t: TestContext, status: number | 'never'): Promise<number | null> {
  const { env } = await fakeCloud(t, {
    respond(_request, _url, response) {
      if (status !== 'never') send(response, { message: 'as the test wants it' }, status);
      return true;
    },
  });
  return statusOf(['images', '--http-timeout=1s', '--http-retries=0'], env);
}
