import { CinderfsError } from '../../errors.js';
import type { Koffi, Library } from './koffi.js';
import { errnoName } from './koffi.js';
import { struct } from './struct.js';

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 0o2000002;
const MSG_DONTWAIT_NOSIGNAL = 0x4040;
/** sockaddr_un; `path` is where its 108 bytes begin. */
const SOCKADDR_UN = struct({ family: 'u16', path: 'u16' }, 110);

export interface DatagramCalls {
  /** Sends `text` to the datagram socket at `path`; '@' begins an abstract one. Does not wait. Throws `fuse_failed`. */
  sendDatagram(path: string, text: string): void;
}

/** What it takes to tell a service manager something. */
export function datagramCalls(koffi: Koffi, libc: Library): DatagramCalls {
  const openSocket = libc.func('int socket(int domain, int type, int protocol)');
  const sendto = libc.func(
    'int64_t sendto(int fd, const void *text, size_t size, int flags, const void *address, uint32_t length)',
  );
  const close = libc.func('int close(int fd)');
  return {
    sendDatagram(path, text) {
      const socket = Number(openSocket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0));
      const address = SOCKADDR_UN.encode({ family: AF_UNIX });
      const used = address.write(path.replace(/^@/, '\0'), SOCKADDR_UN.offsets.path);
      // Every byte of the length counts as part of an abstract name.
      const length = SOCKADDR_UN.offsets.path + used;
      const bytes = Buffer.from(text);
      const sent = Number(sendto(socket, bytes, bytes.length, MSG_DONTWAIT_NOSIGNAL, address, length));
      const reason = errnoName(koffi, koffi.errno());
      close(socket);
      if (sent < 0) throw new CinderfsError('fuse_failed', `cannot send to ${path}: ${reason}`);
    },
  };
}
