/** A mount of an ordinary user goes also where there is no /etc/mtab, as in a minimal root. */
import assert from 'node:assert/strict';
import { chmod, chown, cp, mkdir, rm } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from '../support/program.js';
import { temporaryFolder } from '../support/temporary.js';
import { Undo } from '../support/undo.js';

const skip = process.getuid?.() === 0 ? false : 'a mount namespace of its own needs root';
const NOBODY = 65534;
const MOUNTER = fileURLToPath(new URL('mount-and-unmount.js', import.meta.url));

describe('a mount of an ordinary user without /etc/mtab', { skip, timeout: 60_000 }, () => {
  it('is taken down', async (t) => {
    const undo = new Undo(t);
    const dir = await temporaryFolder(undo);
    await chmod(dir, 0o755);
    const [etc, mountpoint] = [`${dir}/etc`, `${dir}/images`];
    await cp('/etc', etc, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
    await rm(`${etc}/mtab`, { force: true });
    await mkdir(mountpoint);
    await chown(mountpoint, NOBODY, NOBODY);
    const user = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
    const script = 'mount --bind "$1" /etc && shift && exec "$@"';
    const words = [...user, process.execPath, MOUNTER, mountpoint];
    const args = ['--mount', '--propagation=private', 'sh', '-c', script, 'sh', etc, ...words];
    const { stdout, stderr } = await run('unshare', args);
    assert.equal(stdout, 'fuse.cinderfs gone\n', stderr);
  });
});
