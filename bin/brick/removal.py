"""Whether a connection may be removed, and whether it is."""

import contextlib
import glob
import os
import stat
import time

from brick.host import block_devices, holders_of, iscsi_sessions, listed, nvme_controllers, sysfs
from brick.refusal import Refusal

USE_SECONDS = 5  # a user of a disk has to let go of it
GONE_SECONDS = 30  # what os-brick itself waits for a SCSI device to vanish
# They keep or take descriptors of every disk and follow when it goes.
KEEPERS = {'multipathd', 'systemd-udevd', 'udevd', '(udev-worker)', 'iscsid', 'lvm', 'blkid'}


def delete_disks(names):
    """Removes SCSI disks that nothing is stacked on. NVMe namespaces go with their controller."""
    for name in names:
        if not holders_of([name]):
            with contextlib.suppress(OSError), open(f'/sys/class/block/{name}/device/delete', 'w') as file:
                file.write('1')


def leftovers(connection, maps):
    """What disconnect should have removed and did not, in words."""
    left = [f'disk {name}' for name in block_devices(connection)]
    for name, uuid in (each.split(':', 1) for each in maps):
        if uuid and sysfs(f'class/block/{name}/dm/uuid') == uuid:
            left.append(f'map {name}')
    protocol = connection['driver_volume_type'].lower()
    if protocol in ('iscsi', 'iser'):
        sessions = iscsi_sessions(connection)
        left += [f'session {name}' for name, devices in sessions.items() if not devices]
        if not sessions:
            for iqn in listed(connection, 'target_iqns', 'target_iqn'):
                left += [f'node record {path}' for path in glob.glob(f'/etc/iscsi/nodes/{glob.escape(iqn)}/*')]
    if protocol.startswith('nvme'):
        for name in nvme_controllers(connection):
            if not glob.glob(f'/sys/class/nvme/{name}/nvme*n*'):
                left.append(f'controller {name}')
    return left


def until_empty(look, seconds=GONE_SECONDS):
    deadline = time.monotonic() + seconds
    while (left := look()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def refuse_in_use(names):
    """Removing a disk under an open descriptor succeeds, and its owner's next read fails: so look first."""
    disks = [*holders_of(names), *names]
    used = until_empty(lambda: users_of(disks), USE_SECONDS)
    if used:
        raise Refusal('in_use', f'{", ".join(disks)} open in {", ".join(used)}')


def users_of(disks):
    numbers = {os.makedev(*map(int, text.split(':'))) for disk in disks if (text := sysfs(f'class/block/{disk}/dev'))}
    stacked = [f'device {holder}' for holder in holders_of(disks) if holder not in disks]
    return stacked + (sorted(openers(numbers)) if numbers else [])


def openers(numbers):
    for link in glob.glob('/proc/[0-9]*/fd/*'):
        with contextlib.suppress(OSError):
            found, pid = os.stat(link), link.split('/')[2]
            if stat.S_ISBLK(found.st_mode) and found.st_rdev in numbers:
                with open(f'/proc/{pid}/comm', encoding='utf-8', errors='replace') as file:
                    program = file.read().strip()
                if program not in KEEPERS:
                    yield f'{program} ({pid})'
