"""Reads an image through a mount and compares every byte with the file that says what they are.

argv: how, path, source, seed. Prints one JSON object: bytes, and errno (of the call `at`) or wrong (a sentence).
"""

import errno
import json
import mmap
import os
import random
import sys
import time

how, path, source, seed = sys.argv[1:5]
choose = random.Random(int(seed))
result = {"bytes": 0, "at": "open"}
truth = os.open(source, os.O_RDONLY) if source else -1
size = os.fstat(truth).st_size if source else 0


def judge(seen, offset, length):
    wanted = os.pread(truth, max(0, min(length, size - offset)), offset)
    if len(seen) != len(wanted):
        result["wrong"] = f"{len(seen)} bytes instead of {len(wanted)} at {offset}"
    elif seen != wanted:
        first = next(i for i in range(len(seen)) if seen[i] != wanted[i])
        result["wrong"] = f"another byte at {offset + first} (read of {length} at {offset})"
    result["bytes"] += len(seen)
    if "wrong" in result:
        raise StopIteration


def read(image, length, offset):
    """A read may come back short when what follows cannot be read: the next one says why, or it was the end."""
    seen = b""
    while len(seen) < length:
        more = os.pread(image, length - len(seen), offset + len(seen))
        if not more:
            break
        seen += more
    return seen


def anywhere(align=1):
    return choose.randrange(0, size + 1) // align * align


def whole(image):
    for offset in range(0, size + 1, 1 << 20):
        judge(read(image, 1 << 20, offset), offset, 1 << 20)


def pread(image):
    for _ in range(40):
        offset, length = anywhere(), choose.choice([1, 4096, 65536, 300_000])
        judge(read(image, length, offset), offset, length)


def direct(image):
    buffer = mmap.mmap(-1, 1 << 18)
    for _ in range(30):
        offset, length = anywhere(4096), choose.choice([4096, 65536, 1 << 18])
        count = os.preadv(image, [memoryview(buffer)[:length]], offset)
        # The rest of a short one is read past the page cache only when it is aligned: what there is must be right.
        judge(buffer[:count], offset, count if 0 < count < length else length)


def mapped(image):
    with mmap.mmap(image, 0, prot=mmap.PROT_READ) as view:
        for _ in range(40):
            offset, length = anywhere(), choose.choice([1, 4096, 65536])
            judge(view[offset : offset + length], offset, length)


def hold(image):
    """Keeps the image open, through whatever happens, and looks at it now and then."""
    end = time.monotonic() + choose.uniform(1, 12)
    while time.monotonic() < end:
        offset, length = anywhere(), choose.choice([512, 4096, 65536])
        judge(read(image, length, offset), offset, length)
        time.sleep(0.15)


def holes(image):
    """What is called a hole must read as zeros."""
    offset = 0
    while offset < size:
        hole = os.lseek(image, offset, os.SEEK_HOLE)
        try:
            offset = os.lseek(image, hole, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            offset = size
        for at in range(hole, min(offset, size), 1 << 20):
            length = min(1 << 20, offset - at, size - at)
            if any(os.pread(truth, length, at)):
                result["wrong"] = f"data of {length} bytes at {at} called a hole"
                raise StopIteration


def listing():
    """Names and sizes come from memory: they must be there whatever the cloud does."""
    begun = time.monotonic()
    for name in os.listdir(path):
        os.stat(os.path.join(path, name))
    result["ms"] = round((time.monotonic() - begun) * 1000)


try:
    if how == "listing":
        listing()
    else:
        flags = os.O_RDONLY | (os.O_DIRECT if how == "direct" else 0)
        image = os.open(path, flags)
        result["at"] = "read"
        {"whole": whole, "pread": pread, "direct": direct, "mapped": mapped, "hold": hold, "holes": holes}[how](image)
        os.close(image)
except StopIteration:
    pass
except OSError as error:
    result["errno"] = errno.errorcode[error.errno]
print(json.dumps(result))
