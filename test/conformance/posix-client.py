"""System calls on behalf of a test: JSON requests on stdin, JSON answers on stdout, each request in a thread of its own.

A process of its own, because a process that reads through a mount it serves itself would wait for itself, and Python,
because Node has no lseek, mmap, sendfile, O_DIRECT or extended attributes.
"""
import base64
import errno
import json
import mmap
import os
import sys
import threading

output = threading.Lock()


def opened(path, flags=os.O_RDONLY):
    return os.open(path, flags)


def with_file(path, use, flags=os.O_RDONLY):
    fd = os.open(path, flags)
    try:
        return use(fd)
    finally:
        os.close(fd)


def read_direct(path, offset, length):
    """O_DIRECT wants an aligned buffer: anonymous memory is."""
    def use(fd):
        buffer = mmap.mmap(-1, length)
        count = os.preadv(fd, [buffer], offset)
        return encoded(buffer[:count])
    return with_file(path, use, os.O_RDONLY | os.O_DIRECT)


def read_mapped(path, offset, length):
    def use(fd):
        with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as memory:
            return {"size": len(memory), "data": encoded(memory[offset:offset + length])}
    return with_file(path, use)


def read_sent(path):
    """The whole file by sendfile(2)."""
    def use(fd):
        read_end, write_end = os.pipe()
        received = []
        sink = threading.Thread(target=lambda: drain(read_end, received))
        sink.start()
        offset = 0
        while True:
            count = os.sendfile(write_end, fd, offset, 1 << 20)
            if count == 0:
                break
            offset += count
        os.close(write_end)
        sink.join()
        return encoded(b"".join(received))
    return with_file(path, use)


def drain(fd, chunks):
    while True:
        chunk = os.read(fd, 1 << 20)
        if not chunk:
            os.close(fd)
            return
        chunks.append(chunk)


def encoded(data):
    return base64.b64encode(data).decode()


def stat(path):
    answer = os.lstat(path)
    return {name: getattr(answer, "st_" + name) for name in ("ino", "mode", "size", "uid", "gid", "nlink", "mtime")}


def statvfs(path):
    answer = os.statvfs(path)
    return {"blockSize": answer.f_bsize, "blocks": answer.f_blocks, "files": answer.f_files, "nameMax": answer.f_namemax}


WHENCE = {"data": os.SEEK_DATA, "hole": os.SEEK_HOLE}

OPERATIONS = {
    "open": opened,
    "close": os.close,
    "pread": lambda fd, offset, length: encoded(os.pread(fd, length, offset)),
    "lseek": lambda fd, offset, whence: os.lseek(fd, offset, WHENCE[whence]),
    "forget": lambda fd: os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED),
    "fstat": lambda fd: os.fstat(fd).st_size,
    "stat": stat,
    "statvfs": statvfs,
    "list": os.listdir,
    "readlink": os.readlink,
    "getxattr": lambda path, name: encoded(os.getxattr(path, name)),
    "listxattr": os.listxattr,
    "direct": read_direct,
    "mapped": read_mapped,
    "sent": read_sent,
    "unlink": os.unlink,
    "rename": os.rename,
    "mkdir": lambda path: os.mkdir(path),
    "rmdir": os.rmdir,
    "symlink": lambda target, path: os.symlink(target, path),
    "link": os.link,
    "mknod": lambda path: os.mknod(path),
    "truncate": os.truncate,
    "chmod": os.chmod,
    "chown": os.chown,
    "utime": lambda path: os.utime(path),
    "setxattr": lambda path, name: os.setxattr(path, name, b"value"),
    "removexattr": os.removexattr,
}


def answer(request):
    try:
        reply = {"value": OPERATIONS[request["op"]](*request["args"])}
    except OSError as error:
        reply = {"errno": errno.errorcode.get(error.errno, str(error.errno))}
    except Exception as error:  # a bug in this client must show in the test
        reply = {"bug": repr(error)}
    with output:
        print(json.dumps({"id": request["id"], **reply}), flush=True)


for line in sys.stdin:
    threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()
