import { constants } from 'node:fs';
import { systemClock } from '../../../async/clock.js';
import { SharedPieces } from '../../../sources/cache/shared-pieces.js';
import { PieceReader } from '../../../sources/cached/piece-reader.js';
import { LITTLE } from '../../../sys/calls/struct.js';
import type { WorkerChannel } from '../channel/worker-channel.js';
import { GETXATTR_IN, IN_HEADER, LSEEK_IN, OPEN_IN, READ_IN } from '../protocol/messages.js';
import { Opcode } from '../protocol/opcodes.js';
import type { ReplyOwnership } from '../shared/reply-ownership.js';
import { HandleState, SharedHandles } from '../shared/shared-handles.js';
import type { Wanted } from '../shared/shared-opens.js';
import { SharedOpens } from '../shared/shared-opens.js';
import type { FromWorker, ReadJob, WorkerStart } from './messages.js';
import { WorkerOpens } from './opens.js';
import { WorkerReads } from './reads.js';
import type { Seek } from './seeks.js';
import { WorkerSeeks } from './seeks.js';
import type { WorkerSources } from './sources.js';

/** Where a READ has what we need: decoding it into an object would cost more than a 4 KiB read. */
const READ_REQUEST_SIZE = IN_HEADER.size + READ_IN.size;
const LENGTH = IN_HEADER.offsets.len;
const OPCODE = IN_HEADER.offsets.opcode;
const UNIQUE = IN_HEADER.offsets.unique;
const PID = IN_HEADER.offsets.pid;
const FH = IN_HEADER.size + READ_IN.offsets.fh;
const OFFSET = IN_HEADER.size + READ_IN.offsets.offset;
const SIZE = IN_HEADER.size + READ_IN.offsets.size;
const FLAGS = IN_HEADER.size + READ_IN.offsets.flags;
const NODE = IN_HEADER.offsets.nodeid;
const UID = IN_HEADER.offsets.uid;
const OPEN_REQUEST_SIZE = IN_HEADER.size + OPEN_IN.size;
const OPEN_FLAGS = IN_HEADER.size + OPEN_IN.offsets.flags;
const XATTR_NAME = IN_HEADER.size + GETXATTR_IN.size;
const OUR_XATTRS = Buffer.from('user.');

export interface WorkerAnswersParts {
  readonly start: Pick<WorkerStart, 'workerId' | 'handles' | 'opens' | 'pieces'>;
  readonly channel: WorkerChannel;
  readonly claims: ReplyOwnership;
  readonly sources: WorkerSources;
  readonly tell: (message: FromWorker) => void;
}

/** What a worker answers itself. */
export class WorkerAnswers {
  readonly #channel: WorkerChannel;
  readonly #reads: WorkerReads;
  readonly #seeks: WorkerSeeks;
  readonly #opens: WorkerOpens;

  constructor({ start, channel, claims, sources: { memory, readers }, tell }: WorkerAnswersParts) {
    const { workerId } = start;
    const handles = new SharedHandles(start.handles);
    const { replies } = channel;
    this.#channel = channel;
    this.#seeks = new WorkerSeeks({ workerId, claims, handles, readers, replies });
    this.#reads = new WorkerReads({
      workerId,
      claims,
      handles,
      readers,
      pieces: new PieceReader(new SharedPieces(start.pieces), memory),
      channel,
      failed: (read, reason) => tell({ kind: 'failed', fh: read.fh, offset: read.offset, reason }),
    });
    this.#opens = new WorkerOpens({
      workerId,
      opens: new SharedOpens(start.opens),
      replies,
      uptime: () => systemClock.uptime(),
      tell: (slot, outcome) => tell({ kind: 'opened', slot, outcome }),
    });
  }

  /**
   * The request that the channel received last, of `length` bytes. True when it was answered here, or is a READ that the
   * main thread answered meanwhile.
   */
  answer(length: number): boolean {
    const { request, view } = this.#channel.requests;
    if (length < IN_HEADER.size || view.getUint32(LENGTH, LITTLE) !== length) return false;
    const unique = view.getBigUint64(UNIQUE, LITTLE);
    switch (view.getUint32(OPCODE, LITTLE)) {
      case Opcode.READ:
        return (
          length >= READ_REQUEST_SIZE && this.#reads.serve(readRequest(view, unique), HandleState.inline)
        );
      case Opcode.OPEN:
        return (
          length >= OPEN_REQUEST_SIZE &&
          this.#opens.serve(wantedOpen(view, unique), view.getUint32(OPEN_FLAGS, LITTLE))
        );
      case Opcode.LSEEK:
        return (
          length >= IN_HEADER.size + LSEEK_IN.size && this.#seeks.serve(seekRequest(request, view, unique))
        );
      case Opcode.GETXATTR: {
        // `ls -l` asks every file for security.* and system.*; no file has any.
        const foreign = request.compare(OUR_XATTRS, 0, OUR_XATTRS.length, XATTR_NAME, XATTR_NAME + 5) !== 0;
        if (foreign) this.#channel.replies.fail(unique, 'ENODATA');
        return foreign;
      }
      case Opcode.FLUSH:
        // Refused so once, the kernel never asks again. Here, because the main thread may be what waits for it: it blocks
        // in spawn while the child's exec closes, and so flushes, what we have open on a mount of our own.
        this.#channel.replies.fail(unique, 'ENOSYS');
        return true;
      default:
        return false;
    }
  }

  /** A READ that the main thread handed over, of a source that may have stalled; as WorkerReads.serve. */
  read(job: ReadJob): boolean {
    return this.#reads.serve(job, HandleState.queued);
  }
}

function readRequest(view: DataView, unique: bigint): ReadJob {
  return {
    unique,
    pid: view.getUint32(PID, LITTLE),
    fh: Number(view.getBigUint64(FH, LITTLE)),
    offset: Number(view.getBigUint64(OFFSET, LITTLE)),
    length: view.getUint32(SIZE, LITTLE),
    uncached: (view.getUint32(FLAGS, LITTLE) & constants.O_DIRECT) !== 0,
  };
}

function wantedOpen(view: DataView, unique: bigint): Wanted {
  return { unique, node: Number(view.getBigUint64(NODE, LITTLE)), uid: view.getUint32(UID, LITTLE) };
}

function seekRequest(request: Buffer, view: DataView, unique: bigint): Seek {
  const { fh, offset, whence } = LSEEK_IN.decode(request, IN_HEADER.size);
  return { unique, pid: view.getUint32(PID, LITTLE), fh, offset, whence };
}
