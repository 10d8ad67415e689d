/**
 * An engine that cannot start fails while its threads still load native code. What throws there while its thread is being
 * ended aborts the process: an operator who mistyped a password would see a stack of napi_throw.
 */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { it } from 'node:test';
import { type KeptSettings, keepSettings } from '../../src/cli/settings/kept-settings.js';
import { cloudOf, loadSettings } from '../../src/cli/settings/settings.js';
import { startDevcloud } from '../../devcloud/devcloud.js';
import { EXIT } from '../../src/errors.js';
import type { ToEngine, ToSupervisor } from '../../src/supervisor/messages.js';
import { LAUNCHER } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

const BEGIN: ToEngine = {
  kind: 'begin',
  generation: 0,
  supervision: { supervisor_pid: process.pid, restarts: 0, upgrade: null },
};

it('an engine that fails ends with its status, and not before its threads have loaded', async (t) => {
  const undo = new Undo(t);
  const dir = await temporaryFolder(undo);
  await mkdir(path.join(dir, 'images'));
  const cloud = await startDevcloud({ dir: path.join(dir, 'cloud') });
  undo.after(() => cloud.close());
  const engine = fork(LAUNCHER, ['engine', path.join(dir, 'images')], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  undo.after(() => Promise.resolve(engine.kill('SIGKILL')));
  let talk = '';
  engine.stderr?.on('data', (text: Buffer) => (talk += text.toString()));
  const said: ToSupervisor[] = [];
  const flags = { 'state-dir': `${dir}/state`, 'run-dir': `${dir}/run` };
  engine.send({
    kind: 'settings',
    settings: settingsFor(dir, flags, { ...cloud.env, OS_PASSWORD: 'mistyped' }),
  });
  engine.on('message', (message: ToSupervisor) => {
    said.push(message);
    if (message.kind === 'warm') engine.send(BEGIN);
  });
  // What it said last may be heard after its end; nothing is after the end of the channel.
  const [[status, signal]] = (await Promise.all([once(engine, 'exit'), once(engine, 'disconnect')])) as [
    [number | null, NodeJS.Signals | null],
    unknown,
  ];
  assert.deepEqual({ status, signal }, { status: EXIT.auth, signal: null }, talk);
  const kinds = said.map(({ kind }) => kind);
  assert.ok(kinds.includes('failed') && kinds.includes('hot'), `it said ${kinds.join(', ')}`);
});

/** What a supervisor keeps for its engines. */
function settingsFor(directory: string, flags: Record<string, string>, env: NodeJS.ProcessEnv): KeptSettings {
  const say = (): void => undefined;
  const loaded = loadSettings({ flags, env, directory });
  const cloud = cloudOf(loaded, { env, directory });
  return keepSettings({ words: [], flags, env, stdout: say, stderr: say }, { loaded, cloud, directory });
}
