"""Stands for systemd: prints what comes to the datagram socket PATH ('@': an abstract one), a line per message."""
import socket, sys

path = sys.argv[1]
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind("\0" + path[1:] if path.startswith("@") else path)
print("bound", flush=True)
while True:
    print(" ".join(listener.recv(4096).decode().split("\n")), flush=True)
