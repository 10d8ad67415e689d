/** Mounts on the directory named, as whoever runs it, takes the mount down, and says what it saw. */
import { mountAsUser } from '../../src/fs/mount/mount-command.js';
import { findMount } from '../../src/sys/mounts/mount-table.js';
import { unmount } from '../../src/fs/mount/mountpoint.js';

const [mountpoint = ''] = process.argv.slice(2);
const device = await mountAsUser({ mountpoint, fsname: 'cinderfs:test', allowOther: false });
const type = (await findMount(mountpoint))?.type;
await unmount(mountpoint);
const left = await findMount(mountpoint);
console.log(type, left === undefined ? 'gone' : 'still there');
await device.close();
