"""Who a device is, asked of the device itself: what sysfs shows was true when the kernel first saw the disk."""

import ctypes
import fcntl
import glob
import os
import re
import struct

from brick.host import sysfs
from brick.refusal import Refusal

SCSI_NAMES = {1: 't10', 2: 'eui', 3: 'naa', 8: 'name'}  # designator types that name one logical unit for ever
NVME_NAMES = {1: ('eui', 8), 2: ('nguid', 16), 3: ('uuid', 16)}  # and how long each is


def ids_by_path(name):
    """Path -> sorted identifiers. Empty where the protocol has none."""
    if sysfs(f'class/block/{name}/dm/uuid').startswith('mpath-'):
        return reachable({slave: scsi_ids for slave in sorted(os.listdir(f'/sys/class/block/{name}/slaves'))})
    if re.fullmatch(r'nvme\d+n\d+', name):
        return nvme_ids(name)
    if os.path.isdir(f'/sys/class/block/{name}/device/scsi_device'):
        return {name: scsi_ids(name)}
    uuid = sysfs(f'class/block/{name}/dm/uuid')
    return {name: [f'dm.{uuid}'] if uuid else []}


def reachable(asked):
    """A path that does not answer serves no byte either: it is left out, as long as another one answers."""
    ids, failure = {}, Refusal('device_not_found', 'the device has no path')
    for path, ask in asked.items():
        try:
            ids[path] = ask(path)
        except (Refusal, OSError) as error:
            failure = error
    if not ids:
        raise failure
    return ids


def scsi_ids(name):
    state = sysfs(f'class/block/{name}/device/state')
    if state != 'running':  # a question to a blocked disk waits until its session is given up
        raise Refusal('device_not_found', f'{name} is {state or "gone"}')
    serial = inquire(name, 0x80)
    ids = [f'serial.{text_of(serial[4:])}'] if serial else []
    page, at = inquire(name, 0x83) or b'', 4
    while at + 4 <= len(page):
        code, kind, length = page[at] & 15, page[at + 1], page[at + 3]
        value = page[at + 4 : at + 4 + length]
        # Of the logical unit only: a port's name differs by path.
        if kind >> 4 & 3 == 0 and kind & 15 in SCSI_NAMES:
            ids.append(f'{SCSI_NAMES[kind & 15]}.{value.hex() if code == 1 else text_of(value)}')
        at += 4 + length
    return sorted(ids)


def text_of(value):
    return value.decode('ascii', 'replace').strip(' \0')


def inquire(name, page):
    """INQUIRY of a vital product data page by SG_IO; None when the disk does not have that page."""
    data, sense = ctypes.create_string_buffer(1024), ctypes.create_string_buffer(64)
    command = ctypes.create_string_buffer(bytes([0x12, 1, page, 4, 0, 0]), 6)
    address = ctypes.addressof
    header = bytearray(struct.pack(
        '@iiBBHIPPPIIiPBBBBHHiII', ord('S'), -3, 6, 64, 0, 1024, address(data), address(command), address(sense),
        5000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ))  # fmt: skip
    with open_disk(name) as disk:
        fcntl.ioctl(disk, 0x2285, header)
    status, _, _, _, host, driver = struct.unpack_from('@BBBBHH', header, 64)
    if host or driver & ~8:
        raise Refusal('device_not_found', f'{name} does not answer (host status {host}, driver status {driver})')
    return None if status else data.raw[: 4 + int.from_bytes(data.raw[2:4], 'big')]


def nvme_ids(name):
    """Through each live controller of the subsystem: one may have come to serve another namespace under this number."""
    nsid = int(sysfs(f'class/block/{name}/nsid') or 0)
    above = os.path.realpath(f'/sys/class/block/{name}/device')
    inside = [os.path.basename(path) for path in glob.glob(f'{above}/nvme[0-9]*') if not re.search(r'n\d+$', path)]
    controllers = [each for each in inside or [os.path.basename(above)] if sysfs(f'class/nvme/{each}/state') == 'live']
    if not controllers:
        raise Refusal('device_not_found', f'{name} has no live path')
    return {controller: nvme_identify(controller, nsid) for controller in sorted(controllers)}


def nvme_identify(controller, nsid):
    data = ctypes.create_string_buffer(4096)
    command = bytearray(struct.pack(
        '<BBHIIIQQIIIIIIIIII', 6, 0, 0, nsid, 0, 0, 0, ctypes.addressof(data), 0, 4096, 3, 0, 0, 0, 0, 0, 5000, 0
    ))  # fmt: skip
    with open_disk(controller) as device:
        if fcntl.ioctl(device, 0xC0484E41, command):
            raise Refusal('device_not_found', f'{controller} does not identify namespace {nsid}')
    ids, at = [], 0
    while at + 4 <= 4096 and data.raw[at + 1]:
        kind, length = data.raw[at], data.raw[at + 1]
        if kind in NVME_NAMES and NVME_NAMES[kind][1] == length:
            ids.append(f'{NVME_NAMES[kind][0]}.{data.raw[at + 4 : at + 4 + length].hex()}')
        at += 4 + length
    return sorted(ids)


def open_disk(name):
    try:
        return open(f'/dev/{name}', 'rb', buffering=0)
    except OSError as error:
        raise Refusal('device_not_found', f'cannot open /dev/{name}: {error.strerror}') from error


def set_read_only(name):
    for each in [*os.listdir(f'/sys/class/block/{name}/slaves'), name]:
        with open_disk(each) as disk:
            fcntl.ioctl(disk, 0x125D, struct.pack('i', 1))
