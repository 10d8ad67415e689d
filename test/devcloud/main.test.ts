import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import { pickText } from '../../devcloud/json.js';
import { authenticate, request, temporaryDirectory } from './client.js';

const MAIN = fileURLToPath(new URL('../../devcloud/main.js', import.meta.url));

interface Ended {
  readonly code: number | string | null | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

function run(...args: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { timeout: 20_000 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : error.code, stdout, stderr }),
    );
  });
}

async function start(t: TestContext, ...args: string[]) {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => lines.push(line));
  await once(reader, 'line');
  return { child, lines, env: JSON.parse(lines[0] ?? '') as Record<string, string> };
}

describe('npm run devcloud', () => {
  it('prints the environment that reaches it, one line, and ends well on a signal', async (t) => {
    const dir = await temporaryDirectory(t);
    const image = join(dir, 'extra.qcow2');
    await writeFile(image, 'bytes');
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const { child, lines, env } = await start(t, '--dir', dir, '--add', image);
      const url = (env.OS_AUTH_URL ?? '').replace('/identity/v3', '');
      const login = await authenticate(url, env);
      assert.equal(login.status, 201);
      const headers = { 'X-Auth-Token': login.headers.get('x-subject-token') ?? '' };
      const { body } = await request('GET', `${url}/image/v2/images?limit=1&name=extra`, undefined, headers);
      assert.notEqual(pickText(body, 'next'), undefined, 'the image it was given is there');
      child.kill(signal);
      const [code] = (await once(child, 'exit')) as [number | null];
      assert.equal(code, 0);
      assert.equal(lines.length, 1);
    }
  });

  it('says in one line what is wrong and exits with 2', async (t) => {
    const dir = await temporaryDirectory(t);
    const { env } = await start(t, '--dir', dir);
    const port = new URL(env.OS_AUTH_URL ?? '').port;
    const cases: [string[], RegExp][] = [
      [[], /--dir DIR is missing/],
      [['--dir', dir, '--colour'], /--colour/],
      [['--dir', dir, '--port', 'x'], /--port must be a whole number/],
      [['--dir', dir, '--port', port], /EADDRINUSE/],
      [['--dir', dir, '--volume-bytes', 'some'], /--volume-bytes/],
      [['--dir', dir, '--user', 'nobody'], /--user must be one of cinderfs/],
      [['--dir', '/proc/nowhere'], /cannot keep a cloud in/],
    ];
    const ended = await Promise.all(cases.map(([args]) => run(...args)));
    for (const [index, { code, stdout, stderr }] of ended.entries()) {
      assert.equal(code, 2, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, cases[index]?.[1] ?? /never/);
      assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
    }
  });

  it('explains itself', async () => {
    const { code, stdout } = await run('--help');
    assert.equal(code, 0);
    assert.match(stdout, /Usage: npm run devcloud -- --dir DIR/);
    assert.match(stdout, /cinderfs \(member\+reader\+service in service\)/);
  });
});
