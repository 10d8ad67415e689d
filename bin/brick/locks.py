"""os-brick's locks, taken where the neighbours take them, in directories that other users own.

Whoever owns such a directory decides what every name in it means, and may change that at any moment. So root resolves no
name there: each step is done under the identity of the directory's owner, relative to an open descriptor of it, and only
a regular file is taken for a lock.
"""

import contextlib
import errno
import fcntl
import os
import stat
import time

from brick.refusal import Refusal

LOCK = 'os-brick-connect_volume'  # one per host, over all volumes and protocols
# A fifo or a device must not hold us or notice us; a symbolic link is no lock.
SAFELY = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
LINKS = 40  # as the kernel
TRIES = 20  # of a name that its owner makes and unlinks in turns


@contextlib.contextmanager
def host_lock(request):
    """Locks, os-brick's own by default, in every directory where a neighbour may take them, always in the same order.

    os-brick itself locks in a directory of ours, after these: so no file of root's appears where nova cannot open it.
    """
    deadline = time.monotonic() + float(request.get('lock_seconds', 60))
    with contextlib.ExitStack() as held:
        for name in request.get('lock_names', [LOCK]):
            for _, directory in sorted({os.path.realpath(each): each for each in request.get('lock_directories', [])}.items()):
                held.enter_context(lock_at(directory, name, deadline))
        yield


@contextlib.contextmanager
def lock_at(directory, name, deadline):
    """A POSIX record lock, as fasteners takes it: flock(2) would exclude nobody. Gone when this process is."""
    with open_lock(directory, name) as file:
        while True:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise Refusal('busy', f'another process holds {directory}/{name}') from error
                time.sleep(0.05)
        yield


def open_lock(directory, name):
    """The lock file, open for writing; made when there is none, as its directory's owner would make it.

    Refusal `bad_request` where the directory does not exist, `failed` where the name is not a regular file.
    """
    if name in ('', '.', '..') or '/' in name or '\0' in name:
        raise Refusal('bad_request', f'{name!r} is no name of a lock file')
    folder = open_directory(directory)
    try:
        with identity_of(os.fstat(folder)):
            descriptor = opened(folder, name, f'{directory}/{name}')
    finally:
        os.close(folder)
    return os.fdopen(descriptor, 'ab')


def open_directory(path):
    """A descriptor of the directory. Symbolic links on the way are followed where they and their directory are root's:
    the owner of a lock directory may own the one above it, too, and point it anywhere."""
    names, links = ['/', *os.path.abspath(path).split('/')[1:]], 0
    with contextlib.ExitStack() as passed:
        at = None
        while names:
            name = names.pop(0)
            try:
                following = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            except OSError as error:
                target, links = trusted_link(name, at), links + 1
                if target is None or links > LINKS:
                    raise Refusal('bad_request', f'lock directory {path}: {error.strerror}') from error
                names = [*(['/', *target.split('/')[1:]] if target.startswith('/') else target.split('/')), *names]
                names = [each for each in names if each]
                continue
            at = following
            passed.callback(os.close, at)
        return os.dup(at)


def trusted_link(name, at):
    """Where a symbolic link leads that nobody but root can have made; None where there is none."""
    with contextlib.suppress(OSError):
        found = os.lstat(name, dir_fd=at)
        if stat.S_ISLNK(found.st_mode) and found.st_uid == 0 and os.fstat(at).st_uid == 0:
            return os.readlink(name, dir_fd=at)
    return None


@contextlib.contextmanager
def identity_of(owner):
    """File access as the owner of a directory, so far as we are root and it is somebody else."""
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def opened(folder, name, shown):
    """A descriptor of the regular file `name`: the one that is there, or else a new one."""
    for _ in range(TRIES):
        for flags in (SAFELY, SAFELY | os.O_CREAT | os.O_EXCL):
            try:
                return regular(os.open(name, flags, 0o644, dir_fd=folder), shown)
            except (FileNotFoundError, FileExistsError):
                pass  # made or unlinked in between
            except OSError as error:
                # A symbolic link, and a fifo or a socket that nobody reads.
                if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
                    raise Refusal('failed', f'{shown} is not a regular file') from error
                raise Refusal('failed', f'cannot open the lock file {shown}: {error.strerror}') from error
    raise Refusal('failed', f'{shown} does not stay: another process keeps removing it')


def regular(descriptor, shown):
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise Refusal('failed', f'{shown} is not a regular file')
