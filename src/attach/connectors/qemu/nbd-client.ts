/** A small NBD client on a unix socket: enough to prove what an export holds, and to notice its end. One request at a time. */
import { connect, type Socket } from 'node:net';
import type { Clock } from '../../../async/clock.js';
import { withDeadline } from '../../../async/deadline.js';
import { CinderfsError } from '../../../errors.js';

const NBDMAGIC = 0x4e42444d41474943n;
const IHAVEOPT = 0x49484156454f5054n;
const OPTION_REPLY = 0x3e889045565a9n;
const REQUEST = 0x25609513;
const SIMPLE_REPLY = 0x67446698;
const OPT_GO = 7;
const REP_ACK = 1;
const REP_INFO = 3;
const INFO_EXPORT = 0;
const CMD_READ = 0;
const CMD_DISC = 2;
/** Fixed newstyle, no zeroes. */
const CLIENT_FLAGS = 3;

/** What no server needs a tenth of: bytes of one reply to our option, such replies, and bytes that were not asked for. */
const MAX_REPLY_BYTES = 64 * 1024;
const MAX_REPLIES = 64;
const MAX_AHEAD_BYTES = 64 * 1024;

/** Milliseconds for the handshake. */
export interface Patience {
  readonly clock: Clock;
  readonly ms: number;
}

export class NbdClient {
  /** Bytes of the export. */
  readonly size: number;
  /** Settles when the connection has ended, by either side. */
  readonly ended: Promise<void>;
  readonly #wire: Wire;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(wire: Wire, size: number) {
    this.#wire = wire;
    this.size = size;
    this.ended = wire.ended;
  }

  /** Negotiates `exportName`; rejects with `connector_failed`, also when the server accepts and then says nothing. */
  static async connect(socketPath: string, exportName: string, { clock, ms }: Patience): Promise<NbdClient> {
    const wire = await Wire.connect(socketPath);
    try {
      const onTimeout = (): CinderfsError => failed(`no answer on ${socketPath} within ${ms} ms`);
      return new NbdClient(wire, await withDeadline(negotiate(wire, exportName), { clock, ms, onTimeout }));
    } catch (error) {
      wire.close();
      throw error;
    }
  }

  /** Exactly `length` bytes from `offset`. */
  read(offset: number, length: number): Promise<Buffer> {
    const answer = this.#last.then(() => this.#read(offset, length));
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  close(): void {
    if (!this.#wire.broken) this.#wire.write(request(CMD_DISC, 0, 0));
    this.#wire.close();
  }

  async #read(offset: number, length: number): Promise<Buffer> {
    this.#wire.expect(16 + length);
    this.#wire.write(request(CMD_READ, offset, length));
    const head = await this.#wire.take(16);
    if (head.readUInt32BE(0) !== SIMPLE_REPLY) throw failed('unexpected reply');
    const errno = head.readUInt32BE(4);
    if (errno !== 0) throw failed(`read of ${length} bytes at ${offset} failed with errno ${errno}`);
    return this.#wire.take(length);
  }
}

async function negotiate(wire: Wire, exportName: string): Promise<number> {
  const hello = await wire.take(18);
  if (hello.readBigUInt64BE(0) !== NBDMAGIC || hello.readBigUInt64BE(8) !== IHAVEOPT)
    throw failed('no NBD server');
  wire.write(goRequest(exportName));
  let size: number | undefined;
  for (let replies = 0; replies < MAX_REPLIES; replies += 1) {
    const head = await wire.take(20);
    if (head.readBigUInt64BE(0) !== OPTION_REPLY) throw failed('unexpected option reply');
    const type = head.readUInt32BE(12);
    const length = head.readUInt32BE(16);
    if (length > MAX_REPLY_BYTES) throw failed(`an option reply of ${length} bytes`);
    const data = await wire.take(length);
    if (type === REP_INFO) size = sizeIn(data) ?? size;
    else if (type !== REP_ACK) throw failed(`the export was refused: ${data.toString()}`);
    if (type === REP_ACK && size !== undefined) return size;
  }
  throw failed(`more than ${MAX_REPLIES} option replies`);
}

/** The size in an information about the export; undefined in others. */
function sizeIn(data: Buffer): number | undefined {
  if (data.length < 2) throw failed('an information without a kind');
  if (data.readUInt16BE(0) !== INFO_EXPORT) return undefined;
  if (data.length < 10) throw failed('an information about the export that is cut short');
  return Number(data.readBigUInt64BE(2));
}

function goRequest(exportName: string): Buffer {
  const name = Buffer.from(exportName);
  const message = Buffer.alloc(4 + 16 + 4 + name.length + 2);
  message.writeUInt32BE(CLIENT_FLAGS, 0);
  message.writeBigUInt64BE(IHAVEOPT, 4);
  message.writeUInt32BE(OPT_GO, 12);
  message.writeUInt32BE(name.length + 6, 16);
  message.writeUInt32BE(name.length, 20);
  name.copy(message, 24);
  return message;
}

function request(command: number, offset: number, length: number): Buffer {
  const message = Buffer.alloc(28);
  message.writeUInt32BE(REQUEST, 0);
  message.writeUInt16BE(command, 6);
  message.writeBigUInt64BE(BigInt(offset), 16);
  message.writeUInt32BE(length, 24);
  return message;
}

function failed(why: string): CinderfsError {
  return new CinderfsError('connector_failed', `NBD: ${why}`);
}

/** Bytes in order from a socket, so many at a time. */
class Wire {
  readonly ended: Promise<void>;
  readonly #socket: Socket;
  readonly #chunks: Buffer[] = [];
  #have = 0;
  /** Bytes that were asked for: a server that sends many more is not heard any longer. */
  #expected = 0;
  #wanted: { readonly length: number; readonly resolve: (bytes: Buffer) => void } | undefined;
  #fail: ((error: Error) => void) | undefined;
  broken = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => {
      this.#chunks.push(chunk);
      this.#have += chunk.length;
      this.#deliver();
      if (this.#have > this.#expected + MAX_AHEAD_BYTES) socket.destroy();
    });
    // 'close' follows 'error', and is the one that always comes.
    socket.on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      socket.once('close', () => {
        this.broken = true;
        this.#fail?.(failed('the server closed the connection'));
        resolve();
      });
    });
  }

  static connect(path: string): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      const onError = (error: Error): void => reject(failed(error.message));
      socket.once('error', onError);
      socket.once('connect', () => {
        socket.off('error', onError);
        // Between requests it only watches: no reason for the process to stay.
        socket.unref();
        resolve(new Wire(socket));
      });
    });
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  /** So many bytes may come from now on. */
  expect(length: number): void {
    this.#expected = length;
  }

  take(length: number): Promise<Buffer> {
    if (this.broken) return Promise.reject(failed('the connection has ended'));
    this.#socket.ref();
    return new Promise((resolve, reject) => {
      this.#wanted = { length, resolve };
      this.#fail = reject;
      this.#deliver();
    });
  }

  close(): void {
    this.#socket.end();
    this.#socket.destroySoon();
  }

  #deliver(): void {
    const wanted = this.#wanted;
    if (wanted === undefined || this.#have < wanted.length) return;
    const all = Buffer.concat(this.#chunks);
    this.#chunks.splice(0, this.#chunks.length, all.subarray(wanted.length));
    this.#have -= wanted.length;
    this.#wanted = undefined;
    this.#fail = undefined;
    this.#socket.unref();
    wanted.resolve(all.subarray(0, wanted.length));
  }
}
