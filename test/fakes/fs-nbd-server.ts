import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';

export interface FakeNbdOptions {
  readonly socket: string;
  readonly data: Buffer;
  /** What the server knows; all by default. */
  readonly fixedNewstyle?: boolean;
  readonly go?: boolean;
  readonly structured?: boolean;
  /** Connections it answers; later ones wait for ever, as with qemu-nbd --shared. */
  readonly connections?: number;
}

/** What becomes of one read: answered, kept waiting, refused with an errno, hung up on, or answered one byte short. */
export type Verdict = 'answer' | 'hold' | 'drop' | 'short' | number;

const GREETING = Buffer.from('NBDMAGICIHAVEOPT', 'latin1');
const OPTION_REPLY = Buffer.from('0003e889045565a9', 'hex');
const HOLE_BYTES = 4096;

/** An NBD server whose every answer the test decides. Stretches of zeroes (4 KiB aligned) are holes. */
export class FakeNbdServer {
  readonly reads: [offset: number, length: number][] = [];
  verdict: (offset: number, length: number) => Verdict = () => 'answer';
  readonly #options: Required<FakeNbdOptions>;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #held: (() => void)[] = [];

  static async listen(options: FakeNbdOptions): Promise<FakeNbdServer> {
    const server = new FakeNbdServer(options);
    server.#server.listen(options.socket);
    await once(server.#server, 'listening');
    return server;
  }

  private constructor(options: FakeNbdOptions) {
    this.#options = { fixedNewstyle: true, go: true, structured: true, connections: Infinity, ...options };
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined).on('close', () => this.#sockets.delete(socket));
      if (this.#sockets.size <= this.#options.connections)
        void this.#serve(socket).catch(() => socket.destroy());
    });
  }

  get connections(): number {
    return this.#sockets.size;
  }

  get held(): number {
    return this.#held.length;
  }

  /** Answers what was held. */
  letGo(): void {
    this.verdict = () => 'answer';
    const held = this.#held;
    this.#held = [];
    for (const answer of held) answer();
  }

  dropConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.dropConnections();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #serve(socket: Socket): Promise<void> {
    const take = taker(socket);
    const { fixedNewstyle, data } = this.#options;
    socket.write(Buffer.concat([GREETING, u16(fixedNewstyle ? 3 : 2)]));
    const zeroes = ((await take(4)).readUInt32BE() & 2) === 0;
    let structured = false;
    for (;;) {
      const head = await take(16);
      const option = head.readUInt32BE(8);
      const body = await take(head.readUInt32BE(12));
      const reply = (type: number, bytes = Buffer.alloc(0)): boolean =>
        socket.write(Buffer.concat([OPTION_REPLY, u32(option), u32(type), u32(bytes.length), bytes]));
      if (option === 1) {
        socket.write(Buffer.concat([u64(data.length), u16(1), Buffer.alloc(zeroes ? 124 : 0)]));
        break;
      }
      if (option === 7 && this.#options.go) {
        reply(3, Buffer.concat([u16(0), u64(data.length), u16(1)]));
        reply(1);
        break;
      }
      if (option === 8 && this.#options.structured) structured = reply(1) || true;
      else if (option === 10 && structured) {
        reply(4, Buffer.concat([u32(7), body.subarray(-'base:allocation'.length)]));
        reply(1);
      } else reply(0x80000001);
    }
    await this.#transmit(socket, take, structured);
  }

  async #transmit(socket: Socket, take: Take, structured: boolean): Promise<void> {
    for (;;) {
      const request = await take(28);
      const command = request.readUInt16BE(6);
      const cookie = request.subarray(8, 16);
      const offset = Number(request.readBigUInt64BE(16));
      const length = request.readUInt32BE(24);
      if (command === 2) return;
      if (command === 7) socket.write(this.#blockStatus(cookie, offset, length));
      else this.#read(socket, cookie, offset, length, structured);
    }
  }

  #read(socket: Socket, cookie: Buffer, offset: number, length: number, structured: boolean): void {
    this.reads.push([offset, length]);
    const bytes = this.#options.data.subarray(offset, offset + length);
    const verdict = this.verdict(offset, length);
    const answer = (): void => {
      socket.write(structured ? this.#chunks(cookie, offset, bytes) : Buffer.concat([simple(cookie), bytes]));
    };
    if (verdict === 'answer') answer();
    else if (verdict === 'hold') this.#held.push(answer);
    else if (verdict === 'drop') socket.destroy();
    else if (verdict === 'short') {
      socket.write(chunk(1, 1, cookie, Buffer.concat([u64(offset), bytes.subarray(1)])));
    } else socket.write(structured ? chunk(1, 0x8001, cookie, errorBody(verdict)) : simple(cookie, verdict));
  }

  /** One chunk per stretch, last first: a client may not count on their order. */
  #chunks(cookie: Buffer, offset: number, bytes: Buffer): Buffer {
    const stretches = stretchesOf(bytes, offset).reverse();
    return Buffer.concat(
      stretches.map(({ at, length, hole }, index) => {
        const head = u64(offset + at);
        const body = hole ? [head, u32(length)] : [head, bytes.subarray(at, at + length)];
        return chunk(index === stretches.length - 1 ? 1 : 0, hole ? 2 : 1, cookie, Buffer.concat(body));
      }),
    );
  }

  #blockStatus(cookie: Buffer, offset: number, length: number): Buffer {
    const extents = stretchesOf(this.#options.data.subarray(offset, offset + length), offset);
    const body = extents.map((extent) => Buffer.concat([u32(extent.length), u32(extent.hole ? 3 : 0)]));
    return chunk(1, 5, cookie, Buffer.concat([u32(7), ...body]));
  }
}

interface Stretch {
  readonly at: number;
  length: number;
  readonly hole: boolean;
}

function stretchesOf(bytes: Buffer, offset: number): Stretch[] {
  const stretches: Stretch[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = Math.min(HOLE_BYTES - ((offset + at) % HOLE_BYTES), bytes.length - at);
    const hole = bytes.subarray(at, at + length).every((byte) => byte === 0);
    const last = stretches.at(-1);
    if (last?.hole === hole) last.length += length;
    else stretches.push({ at, length, hole });
    at += length;
  }
  return stretches;
}

type Take = (length: number) => Promise<Buffer>;

function taker(socket: Socket): Take {
  const iterator = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let bytes = Buffer.alloc(0);
  return async (length) => {
    while (bytes.length < length) {
      const next = await iterator.next();
      if (next.done === true) throw new Error('the client hung up');
      bytes = Buffer.concat([bytes, next.value]);
    }
    const taken = bytes.subarray(0, length);
    bytes = bytes.subarray(length);
    return taken;
  };
}

function simple(cookie: Buffer, error = 0): Buffer {
  return Buffer.concat([u32(0x67446698), u32(error), cookie]);
}

function chunk(flags: number, type: number, cookie: Buffer, body: Buffer): Buffer {
  return Buffer.concat([u32(0x668e33ef), u16(flags), u16(type), cookie, u32(body.length), body]);
}

function errorBody(error: number): Buffer {
  return Buffer.concat([u32(error), u16(4), Buffer.from('oops')]);
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
