"""os-brick's locks, taken where the neighbours take them."""

import contextlib
import fcntl
import os
import time

from brick.refusal import Refusal

LOCK = 'os-brick-connect_volume'  # one per host, over all volumes and protocols


@contextlib.contextmanager
def host_lock(request):
    """Locks, os-brick's own by default, in every directory where a neighbour may take them, always in the same order.

    os-brick itself locks in a directory of ours, after these: so no file of root's appears where nova cannot open it.
    """
    deadline = time.monotonic() + float(request.get('lock_seconds', 60))
    with contextlib.ExitStack() as held:
        for name in request.get('lock_names', [LOCK]):
            for directory in sorted({os.path.realpath(each) for each in request.get('lock_directories', [])}):
                held.enter_context(lock_at(f'{directory}/{name}', deadline))
        yield


@contextlib.contextmanager
def lock_at(path, deadline):
    """A POSIX record lock, as fasteners takes it: flock(2) would exclude nobody. Gone when this process is."""
    create_as_its_directory(path)
    with open(path, 'ab') as file:
        while True:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise Refusal('busy', f'another process holds {path}') from error
                time.sleep(0.05)
        yield


def create_as_its_directory(path):
    """Makes the lock file belong to who owns the directory from its first moment: nova may not open root's."""
    if os.path.exists(path):
        return
    directory, name = os.path.split(path)
    try:
        owner = os.stat(directory)
    except FileNotFoundError as error:
        raise Refusal('bad_request', f'lock directory {directory} does not exist') from error
    fresh = f'{directory}/.{name}.{os.getpid()}'
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    try:
        os.chown(fresh, owner.st_uid, owner.st_gid)
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        os.unlink(fresh)
