import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import { fakeCloud, imageEntry, send, volumeEntry } from '../support/fake-cloud.js';
import { LAUNCHER, run } from '../support/program.js';
import { moment } from '../support/time.js';

const COUNT = 6000;

/** Runs `cinderfs ARGS` in a shell, so that pipes, pipefail and redirections are those that people use. */
function shell(script: string, env: NodeJS.ProcessEnv): ReturnType<typeof run> {
  return run('bash', ['-c', `c() { ${process.execPath} ${LAUNCHER} "$@"; }; ${script}`], env);
}

async function cloudOfMany(t: TestContext): Promise<NodeJS.ProcessEnv> {
  const numbers = Array.from({ length: COUNT }, (_, index) => index);
  const { env } = await fakeCloud(t, {
    respond(_, url, response) {
      if (url.pathname.endsWith('/images')) send(response, { images: numbers.map((n) => imageEntry(n)) });
      else if (url.pathname.endsWith('/volumes/detail'))
        send(response, { volumes: numbers.map((n) => volumeEntry(n)) });
      else return false;
      return true;
    },
  });
  return env;
}

/** Starts it with pipes that nobody reads yet. */
function unread(args: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  return spawn(process.execPath, [LAUNCHER, ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Takes 64 KiB at a time, with pauses in which a process that did not wait would be gone. */
async function readSlowly(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) {
    chunks.push(chunk as Buffer);
    await moment(5);
  }
  return Buffer.concat(chunks).toString();
}

describe('output into a pipe', () => {
  it('arrives whole, however slowly it is read', async (t) => {
    const env = await cloudOfMany(t);
    for (const format of ['json', 'value', 'table']) {
      const child = unread(['images', '-f', format], env);
      const closed = once(child, 'close') as Promise<[number | null]>;
      assert.ok(child.stdout !== null);
      const text = await readSlowly(child.stdout);
      assert.deepEqual(await closed, [0, null]);
      if (format === 'json') assert.equal((JSON.parse(text) as unknown[]).length, COUNT);
      else assert.equal(text.match(/image-\d+/g)?.length, COUNT, format);
      if (format === 'json') assert.ok(text.length > 2 ** 20, `${text.length} bytes are no test`);
    }
  });

  it('is waited for on stderr, too', async () => {
    // One word of more than a pipe holds, in an error line and so on stderr.
    const script = 'c images -f "$(printf %0100000d 7)" 2>&1 >/dev/null | { sleep 0.3; wc -c; }';
    const { stdout } = await shell(script, {});
    assert.ok(Number(stdout) > 100_000, stdout);
  });

  it('ends in silence when its reader has left, with what SIGPIPE ends with', async (t) => {
    const env = await cloudOfMany(t);
    const outcome = await shell('c images -f json | head -c 10; echo " ${PIPESTATUS[0]}"', env);
    assert.deepEqual(outcome, { status: 0, stdout: '[\n  {\n     141\n', stderr: '' });
  });

  it('does not need a reader of stderr to end with the status of the failure', async () => {
    const outcome = await shell('c mout 2> >(exec true); echo $?', {});
    assert.equal(outcome.stdout, '2\n');
  });

  it('that does not fit is an error, and not a bug of ours', async (t) => {
    const env = await cloudOfMany(t);
    const outcome = await shell('c images -f json >/dev/full', env);
    assert.equal(outcome.status, 74, outcome.stderr);
    assert.match(outcome.stderr, /^cinderfs: cannot write the output: .*ENOSPC.* \[output_failed\]\n$/);
  });
});
