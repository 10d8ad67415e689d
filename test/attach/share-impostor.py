"""SOURCE DIRECTORY TYPE NAME: a FUSE file system as fusermount3 mounts it for user 65534, with one file NAME that says
EVIL. It says "mounted" once it stands, and serves as that user until it is unmounted."""

import ctypes
import os
import struct
import sys

source, directory, kind, name = (os.fsencode(each) for each in sys.argv[1:])
CONTENT = b'EVIL' * 1024
ENOENT, ENOSYS = -2, -38
LOOKUP, FORGET, GETATTR, OPEN, READ, RELEASE, FLUSH, INIT, INTERRUPT, BATCH_FORGET = 1, 2, 3, 14, 15, 18, 25, 26, 36, 42

device = os.open('/dev/fuse', os.O_RDWR)
options = f'fd={device},rootmode=40000,user_id=65534,group_id=65534,allow_other'.encode()
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(source, directory, kind, 6, options):  # nosuid, nodev
    sys.exit(f'mount: {os.strerror(ctypes.get_errno())}')
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
print('mounted', flush=True)


def attributes(node):
    mode, size = (0o40755, 0) if node == 1 else (0o100644, len(CONTENT))
    return struct.pack('<6Q10I', node, size, 8, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def answer(operation, node, body):
    if operation == INIT:
        return struct.pack('<4I2H2I2H8I', 7, 31, 65536, 0, 0, 0, 131072, 1, 0, 0, *[0] * 8)
    if operation == LOOKUP:
        return struct.pack('<4Q2I', 2, 0, 1, 1, 0, 0) + attributes(2) if body.rstrip(b'\0') == name else ENOENT
    if operation == GETATTR:
        return struct.pack('<Q2I', 1, 0, 0) + attributes(node)
    if operation == OPEN:
        return struct.pack('<Q2I', 7, 0, 0)
    if operation == READ:
        _, offset, size = struct.unpack_from('<QQI', body)
        return CONTENT[offset : offset + size]
    return b'' if operation in (RELEASE, FLUSH) else ENOSYS


while True:
    try:
        message = os.read(device, 1 << 20)
    except OSError:
        break
    _, operation, unique, node = struct.unpack_from('<IIQQ', message)
    if operation in (FORGET, INTERRUPT, BATCH_FORGET):
        continue
    found = answer(operation, node, message[40:])
    error, data = (found, b'') if isinstance(found, int) else (0, found)
    os.write(device, struct.pack('<IiQ', 16 + len(data), error, unique) + data)
