"""Reads FILE in one of several ways, compares every byte with SOURCE, prints a dot per pass; ends at the end of stdin.

reader.py map|random FILE SOURCE: random pages through mmap; random pieces by eight threads, buffered and O_DIRECT.
What the kernel has cached of FILE is dropped again and again, so that the reads reach whoever serves it.
"""
import datetime, mmap, os, random, sys, threading

way, file, source = sys.argv[1:]
truth = open(source, "rb")
size = os.stat(source).st_size
expected = mmap.mmap(truth.fileno(), size, prot=mmap.PROT_READ)
stop = threading.Event()
wrong = []


def judge(got, offset):
    if got != expected[offset : offset + len(got)] or len(got) == 0:
        wrong.append(f"{way}: wrong bytes at {offset}")
        stop.set()


def drop(fd):
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def mapped():
    with open(file, "rb") as opened:
        pages = mmap.mmap(opened.fileno(), size, prot=mmap.PROT_READ)
        for _ in range(64):
            at = random.randrange(size)
            judge(pages[at : at + 5000], at)
        pages.close()
        drop(opened.fileno())


def pieces(direct):
    fd = os.open(file, os.O_RDONLY | (os.O_DIRECT if direct else 0))
    room = mmap.mmap(-1, 1 << 18)
    for _ in range(16):
        at = random.randrange(size) & ~4095
        length = random.choice([4096, 65536, 1 << 18])
        n = os.preadv(fd, [memoryview(room)[:length]], at)
        if n < min(length, size - at):
            wrong.append(f"short read of {n} at {at}")
            stop.set()
        judge(room[:n], at)
    drop(fd)
    os.close(fd)


def loop(work):
    try:
        while not stop.is_set():
            work()
            sys.stdout.write(".")
            sys.stdout.flush()
    except BaseException as error:
        now = datetime.datetime.now(datetime.timezone.utc)
        wrong.append(f"{now:%FT%T} {way}: {error!r}")
        stop.set()


works = [mapped] if way == "map" else [lambda n=n: pieces(n % 2 == 1) for n in range(8)]
threads = [threading.Thread(target=loop, args=(work,)) for work in works]
for thread in threads:
    thread.start()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
for thread in threads:
    thread.join()
if wrong:
    sys.exit("; ".join(wrong[:3]))
