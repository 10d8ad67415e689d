/** One daemon per state directory, whatever other users of this host do. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  chmod,
  chown,
  link,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import { OwnerLock } from '../../src/attach/journal/owner-lock.js';
import { nameProcess } from '../../src/sys/processes/process-name.js';
import { CinderfsError } from '../../src/errors.js';
import { lockByCommand, lockFile, unlockFile } from '../../src/sys/files/file-lock.js';
import { assertProperty } from '../support/seeds.js';
import { Undo } from '../support/undo.js';

let directory = '';
let undo: Undo;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cinderfs-state-'));
  undo = new Undo({ after: () => undefined });
});
afterEach(async () => {
  await undo.run();
  await rm(directory, { recursive: true, force: true });
});

/** Given up with the test, also where it should have been refused. */
async function take(state: string, mountpoint: string): Promise<OwnerLock> {
  const lock = await OwnerLock.take(state, mountpoint);
  undo.after(() => lock.release().catch(() => undefined));
  return lock;
}

describe('the owner of a state directory', () => {
  it('is one: the second is told who the first is, by any path to it', async () => {
    const lock = await OwnerLock.take(join(directory, 'state'), '/srv/images');
    await symlink(join(directory, 'state'), join(directory, 'alias'));
    for (const path of ['state', 'alias'])
      await assert.rejects(OwnerLock.take(join(directory, path), '/other'), (error) => {
        assert.ok(CinderfsError.is(error) && error.code === 'owner_exists');
        assert.match(error.message, new RegExp(`process ${process.pid}, mounted on /srv/images,`));
        return true;
      });
    await lock.release();
    await (await OwnerLock.take(join(directory, 'state'), '/other')).release();
  });

  it('is gone when it was killed', async () => {
    const module = new URL('../../src/attach/journal/owner-lock.js', import.meta.url).href;
    const script = `const { OwnerLock } = await import(${JSON.stringify(module)});
      await OwnerLock.take(${JSON.stringify(directory)}, '/first'); console.log('taken');`;
    const child: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    assert.ok(child.stdout);
    await once(child.stdout, 'data');
    await assert.rejects(OwnerLock.take(directory, '/second'), { code: 'owner_exists' });
    child.kill('SIGKILL');
    await once(child, 'exit');
    await (await OwnerLock.take(directory, '/second')).release();
  });
});

describe(
  'another user of this host',
  { skip: process.getuid?.() === 0 ? false : 'needs a second user' },
  () => {
    const NOBODY = 65534;

    /** Runs `script` as nobody, who was told the abstract name that version 0.1 locked by; resolves at its first line. */
    async function asNobody(script: string, name: string): Promise<string> {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script, name], {
        uid: NOBODY,
        gid: NOBODY,
        cwd: '/',
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      undo.after(() => void child.kill('SIGKILL'));
      assert.ok(child.stdout);
      const [line] = (await once(child.stdout, 'data')) as [Buffer];
      return line.toString().trim();
    }

    async function olderName(state: string): Promise<string> {
      const { dev, ino } = await stat(state, { bigint: true });
      return `cinderfs-${createHash('sha256').update(`${dev}:${ino}`).digest('hex').slice(0, 32)}`;
    }

    const SQUAT = `const { createServer } = await import('node:net');
    const server = createServer((asker) => {
      const more = () => { while (asker.write('{"pid":1,"mountpoint":"/x\\u001b[31mHACKED'.repeat(1000))); };
      asker.on('error', () => {}).on('drain', more); more();
    });
    server.listen('\\0' + process.argv[1], () => console.log('taken'));`;
    const CONNECT = `const { connect } = await import('node:net');
    let open = 0; let refused = 0;
    const told = () => { if (open + refused === 5000) console.log(open + ' of 5000'); };
    for (let n = 0; n < 5000; n++)
      connect('\\0' + process.argv[1])
        .on('connect', () => { open++; told(); })
        .on('error', () => { refused++; told(); });`;
    const LOCK = `const { openSync } = await import('node:fs');
    try { openSync(process.argv[1], 'r'); console.log('open'); } catch (error) { console.log(error.code); }`;

    it('cannot take the lock before us, nor answer for it', async () => {
      const state = join(directory, 'state');
      await mkdir(state, { mode: 0o700 });
      await asNobody(SQUAT, await olderName(state));
      const lock = await OwnerLock.take(state, '/srv/images');
      await assert.rejects(take(state, '/other'), (error) => {
        assert.ok(CinderfsError.is(error) && error.code === 'owner_exists');
        assert.match(error.message, new RegExp(`^process ${process.pid}, mounted on /srv/images, owns`));
        return true;
      });
      await lock.release();
    });

    it('cannot connect to whoever has it', async () => {
      const state = join(directory, 'state');
      const lock = await OwnerLock.take(state, '/srv/images');
      undo.after(() => lock.release());
      const before = (await readdir('/proc/self/fd')).length;
      assert.equal(await asNobody(CONNECT, await olderName(state)), '0 of 5000');
      assert.ok((await readdir('/proc/self/fd')).length < before + 10);
    });

    it('cannot open the file that is locked, also in a directory that it can enter', async () => {
      await chmod(directory, 0o755);
      const state = join(directory, 'state');
      await mkdir(state, { mode: 0o755 });
      const lock = await OwnerLock.take(state, '/srv/images');
      undo.after(() => lock.release());
      assert.equal(await asNobody(LOCK, join(state, 'lock')), 'EACCES');
    });

    it('cannot have us use a directory or a lock of its making', async () => {
      const state = join(directory, 'state');
      await mkdir(state);
      await chown(state, NOBODY, NOBODY);
      await assert.rejects(take(state, '/'), {
        code: 'path_unusable',
        message: /belongs to user 65534/,
      });
      await chown(state, 0, 0);
      await chmod(state, 0o777);
      await assert.rejects(take(state, '/'), {
        code: 'path_unusable',
        message: /every user can write/,
      });
      await chmod(state, 0o700);
      const victim = join(directory, 'victim');
      await writeFile(victim, 'precious');
      for (const make of [symlink, link] as const) {
        await make(victim, join(state, 'lock'));
        await assert.rejects(take(state, '/'), { code: 'path_unusable' });
        await rm(join(state, 'lock'));
      }
      await symlink(victim, join(state, 'owner.json'));
      await symlink(victim, join(state, 'owner.json.new'));
      await (await OwnerLock.take(state, '/')).release();
      assert.equal(await readFile(victim, 'utf8'), 'precious');
    });

    it('is not what version 0.1 of ours is: that one is still respected', async () => {
      const state = join(directory, 'state');
      await mkdir(state, { mode: 0o700 });
      const older = createServer();
      undo.after(() => older.close());
      await new Promise<void>(
        (resolve) => void olderName(state).then((name) => older.listen(`\0${name}`, resolve)),
      );
      await assert.rejects(take(state, '/'), {
        code: 'owner_exists',
        message: new RegExp(`^process ${process.pid} `),
      });
      older.close();
      await once(older, 'close');
      await writeFile(join(state, 'owner.json'), JSON.stringify(noteOf(process.ppid)));
      await assert.rejects(take(state, '/'), {
        code: 'owner_exists',
        message: /mounted on \/older,/,
      });
      await rm(join(state, 'owner.json'));
      await (await OwnerLock.take(state, '/')).release();
    });

    function noteOf(pid: number): object {
      return { pid, mountpoint: '/older', startTime: nameProcess(pid)?.started };
    }
  },
);

describe('the note of who owns a state directory', () => {
  const note = (): string => join(directory, 'state', 'owner.json');

  it('may hold anything', async () => {
    await mkdir(join(directory, 'state'), { mode: 0o700 });
    const lock = await OwnerLock.take(join(directory, 'state'), '/images');
    undo.after(() => lock.release());
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      fc.record({ pid: fc.anything(), mountpoint: fc.anything() }).map((value) => {
        try {
          return JSON.stringify(value);
        } catch {
          return '';
        }
      }),
      fc.constant('x'.repeat(2 ** 22)),
      fc.constant(`{"pid":1,"startTime":"","mountpoint":"/x\\u001b[31mHACKED\\n"}`),
    );
    await assertProperty(
      fc.asyncProperty(text, async (said) => {
        await writeFile(note(), said);
        const error: unknown = await take(join(directory, 'state'), '/other').catch(
          (caught: unknown) => caught,
        );
        assert.ok(CinderfsError.is(error) && error.code === 'owner_exists');
        assert.ok(!error.message.includes('\u001b') && error.message.length < 6_000);
      }),
      { numRuns: 12 },
    );
  });

  it('is not needed for the lock to be one, with koffi or without', async () => {
    const file = join(directory, 'lock');
    const [first, second] = [await open(file, 'w'), await open(file, 'r+')];
    undo.after(() => Promise.all([first.close(), second.close()]));
    for (const [take, other] of [
      [lockFile, lockByCommand],
      [lockByCommand, lockFile],
    ] as const) {
      assert.equal(take(first.fd), true);
      assert.equal(other(second.fd), false);
      unlockFile(first.fd);
      assert.equal(other(second.fd), true);
      unlockFile(second.fd);
    }
  });
});
