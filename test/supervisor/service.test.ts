/** What systemd hears of a mount: a real datagram socket, a real watchdog, an engine that is frozen and one that dies. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { engineOf } from '../support/engines.js';
import { eventually } from '../support/eventually.js';
import { cinderfs } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { quietFor } from '../support/time.js';
import { Undo } from '../support/undo.js';
import { endsClean, supervisedWorld, type SupervisedWorld } from './world.js';

const LISTENER = fileURLToPath(new URL('../../../test/supervisor/listener.py', import.meta.url));
const skip = process.getuid?.() === 0 ? false : 'mounting needs root';
/** systemd's own would be 30 s and more. */
const WATCHDOG_MS = 1_000;

describe('the service manager', { skip, timeout: 600_000 }, () => {
  it('hears READY when the mount serves, STOPPING when it is unmounted, by an abstract socket', async (t) => {
    const { world, heard } = await watched(t, `@cinderfs-test-${randomUUID()}`);
    const { mounted } = world;
    await eventually('READY is heard', () =>
      there(heard.includes(`READY=1 STATUS=serving ${mounted.mountpoint}`)),
    );
    const gone = once(mounted.child, 'exit');
    assert.equal((await cinderfs(['umount', mounted.mountpoint], mounted.env)).status, 0);
    assert.deepEqual(await gone, [0, null]);
    await eventually('STOPPING is heard', () => there(heard.at(-1)?.startsWith('STOPPING=1') === true));
    assert.equal(heard.filter((line) => line.startsWith('STOPPING=1')).length, 1);
  });

  it('hears nothing of a mount whose engine is frozen, and of it again when it thaws', async (t) => {
    const { world, heard } = await watched(t);
    const engine = await engineOf(world.mounted.child.pid ?? 0);
    assert.ok(engine);
    await beats(heard, 2);
    process.kill(engine, 'SIGSTOP');
    world.undo.after(() => thaw(engine));
    const before = heard.length;
    await quietFor(3 * WATCHDOG_MS, 'the service manager hears of the mount', () =>
      // What was asked before it froze may still be on its way.
      assert.deepEqual(heard.slice(before + 1), []),
    );
    thaw(engine);
    await beats(heard, 2);
    await endsClean(world);
  });

  it('is fed while another engine takes over from one that died', async (t) => {
    const { world, heard } = await watched(t);
    const engine = await engineOf(world.mounted.child.pid ?? 0);
    assert.ok(engine);
    process.kill(engine, 'SIGKILL');
    await beats(heard, 6);
    assert.equal((await world.mounted.status()).supervision?.restarts, 1);
    await endsClean(world);
    await eventually('STOPPING is heard', () => there(heard.some((line) => line.startsWith('STOPPING=1'))));
  });
});

/** A mount that systemd watches, and what systemd hears. */
async function watched(
  t: TestContext,
  socket?: string,
): Promise<{ world: SupervisedWorld; heard: string[] }> {
  const undo = new Undo(t);
  const at = socket ?? path.join(await temporaryFolder(undo), 'notify');
  const listener = spawn('python3', [LISTENER, at], { stdio: ['ignore', 'pipe', 'inherit'] });
  undo.after(() => listener.kill());
  const heard: string[] = [];
  const lines = createInterface({ input: listener.stdout });
  await once(lines, 'line');
  lines.on('line', (line) => heard.push(line));
  const env = { NOTIFY_SOCKET: at, WATCHDOG_USEC: String(WATCHDOG_MS * 1000) };
  return { world: await supervisedWorld(t, [], { env }), heard };
}

function beats(heard: readonly string[], more: number): Promise<true> {
  const count = (): number => heard.filter((line) => line === 'WATCHDOG=1').length;
  const goal = count() + more;
  return eventually(`${more} beats are heard`, () => there(count() >= goal));
}

function there(holds: boolean): Promise<true | undefined> {
  return Promise.resolve(holds ? true : undefined);
}

function thaw(engine: number): void {
  try {
    process.kill(engine, 'SIGCONT');
  } catch {
    // It has ended, as it should when all went well.
  }
}
