"""rpcbind on 127.0.0.1 only.

`rpcbind -h 127.0.0.1` of Debian 12 (1.2.6) aborts with a double free, so it gets ready-made sockets the way systemd
hands them over (LISTEN_FDS), and a netconfig without IPv6 in a mount namespace of its own. QEMU's NFS driver speaks
NFSv3 and therefore needs rpcbind.
"""

import ctypes
import os
import socket
import tempfile

CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
RPCBIND_SOCKET = '/run/rpcbind.sock'
NETCONFIG = '''udp tpi_clts v inet udp - -
tcp tpi_cots_ord v inet tcp - -
local tpi_cots_ord - loopback - - -
'''

libc = ctypes.CDLL(None, use_errno=True)


def main():
    hide_ipv6()
    sockets = [unix_socket(), inet_socket(socket.SOCK_STREAM), inet_socket(socket.SOCK_DGRAM)]
    # first out of the way of 3, 4, 5: a socket may already sit on one of them
    parked = [os.dup2(one.fileno(), 50 + index) for index, one in enumerate(sockets)]
    for index, descriptor in enumerate(parked):
        os.dup2(descriptor, 3 + index, inheritable=True)
    os.closerange(3 + len(sockets), 100)
    os.environ.update(LISTEN_FDS=str(len(sockets)), LISTEN_PID=str(os.getpid()))
    os.execv('/usr/sbin/rpcbind', ['rpcbind', '-f', '-w'])


def hide_ipv6():
    check(libc.unshare(CLONE_NEWNS), 'unshare')
    check(libc.mount(b'none', b'/', None, MS_REC | MS_PRIVATE, None), 'make mounts private')
    with tempfile.NamedTemporaryFile('w', prefix='netconfig') as file:
        file.write(NETCONFIG)
        file.flush()
        os.chmod(file.name, 0o644)
        check(libc.mount(file.name.encode(), b'/etc/netconfig', None, MS_BIND, None), 'bind /etc/netconfig')


def unix_socket():
    if os.path.exists(RPCBIND_SOCKET):
        os.unlink(RPCBIND_SOCKET)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(RPCBIND_SOCKET)
    os.chmod(RPCBIND_SOCKET, 0o666)
    listener.listen(64)
    return listener


def inet_socket(kind):
    listener = socket.socket(socket.AF_INET, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(('127.0.0.1', 111))
    if kind == socket.SOCK_STREAM:
        listener.listen(64)
    return listener


def check(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), what)


main()
