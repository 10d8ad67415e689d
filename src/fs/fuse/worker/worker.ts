/**
 * A worker thread: blocks on /dev/fuse, answers READ of descriptor sources itself, forwards everything else. There is
 * no event loop hop between the kernel and the bytes, which is where the speed comes from.
 */
import { constants, readSync } from 'node:fs';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../../async/clock.js';
import { ReplyOwnership } from '../shared/reply-ownership.js';
import { isGone, TRY_AGAIN } from '../channel/device.js';
import { systemCode } from '../protocol/errno.js';
import { Inbox } from '../channel/inbox.js';
import { systemCalls } from '../../../sys/calls/system-calls.js';
import { GETXATTR_IN, IN_HEADER, LSEEK_IN, OPEN_IN, READ_IN } from '../protocol/messages.js';
import { Opcode, WITHOUT_ANSWER } from '../protocol/opcodes.js';
import { ReplyPipe } from '../channel/reply-pipe.js';
import { HandleState, SharedHandles } from '../shared/shared-handles.js';
import type { Wanted } from '../shared/shared-opens.js';
import { SharedOpens } from '../shared/shared-opens.js';
import { PieceReader } from '../../../sources/cached/piece-reader.js';
import { SharedPieces } from '../../../sources/cache/shared-pieces.js';
import { LITTLE } from '../../../sys/calls/struct.js';
import type { FromWorker, ReadJob, ToWorker, WorkerStart } from './messages.js';
import { loadModule, loadSources } from './sources.js';
import { WorkerOpens } from './opens.js';
import { WorkerReads } from './reads.js';
import { WorkerReplies } from '../channel/replies.js';
import type { Seek } from './seeks.js';
import { WorkerSeeks } from './seeks.js';

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

if (parentPort === null) throw new Error('worker.js runs as a worker thread');
const port = parentPort;
const tell = (message: FromWorker): void => port.postMessage(message);
// Now: loaded at the first LSEEK, it would cost each worker's first caller 8 ms, which is a hundred LSEEKs.
systemCalls();
// What is known of the kinds of source ahead: a worker that begins has them loaded.
await Promise.all((workerData as readonly string[]).map(loadModule));
const { fuseFd, workerId, workers, inFlight, sources, ...shared } = await begin();
const claims = new ReplyOwnership(shared.claims);
const handles = new SharedHandles(shared.handles);
const { memory, readers } = await loadSources({ workerId, workers, sources }, (source, message) =>
  tell({ kind: 'source', source, message }),
);
const replies = new WorkerReplies(fuseFd, memory);
const pipe = new ReplyPipe(fuseFd, systemCalls());
const seeks = new WorkerSeeks({ workerId, claims, handles, readers, replies });
const reads = new WorkerReads({
  workerId,
  claims,
  handles,
  readers,
  pieces: new PieceReader(new SharedPieces(shared.pieces), memory),
  replies,
  pipe,
  failed: (read, reason) => tell({ kind: 'failed', fh: read.fh, offset: read.offset, reason }),
});
const opens = new WorkerOpens({
  workerId,
  opens: new SharedOpens(shared.opens),
  replies,
  uptime: () => systemClock.uptime(),
  tell: (slot, outcome) => tell({ kind: 'opened', slot, outcome }),
});
const inbox = new Inbox(workerId, inFlight, systemCalls);

for (;;) {
  const length = receive();
  if (length === undefined) break;
  if (answer(length)) inbox.done();
  else forward(length);
  claims.settle(workerId);
  if (claims.recalled(workerId) && serveWhileRecalled() === 'retire') break;
}
pipe.discard();

/** Says that everything is loaded and waits to be told what to serve. */
function begin(): Promise<WorkerStart> {
  return new Promise((resolve) => {
    port.once('message', resolve);
    tell({ kind: 'loaded' });
  });
}

/** Waits for a request; its length, undefined when the mount has ended. */
function receive(): number | undefined {
  for (;;) {
    try {
      return readSync(fuseFd, inbox.request, 0, inbox.request.length, null);
    } catch (error) {
      if (isGone(error)) return undefined;
      if (!TRY_AGAIN.has(systemCode(error) ?? '')) throw error;
    }
  }
}

/** True when the request was answered here, or is a READ that the main thread answered meanwhile. */
function answer(length: number): boolean {
  const { request, view } = inbox;
  if (length < IN_HEADER.size || view.getUint32(LENGTH, LITTLE) !== length) return false;
  const unique = view.getBigUint64(UNIQUE, LITTLE);
  switch (view.getUint32(OPCODE, LITTLE)) {
    case Opcode.READ:
      return length >= READ_REQUEST_SIZE && reads.serve(readRequest(unique), HandleState.inline);
    case Opcode.OPEN:
      return (
        length >= OPEN_REQUEST_SIZE && opens.serve(wantedOpen(unique), view.getUint32(OPEN_FLAGS, LITTLE))
      );
    case Opcode.LSEEK:
      return length >= IN_HEADER.size + LSEEK_IN.size && seeks.serve(seekRequest(unique));
    case Opcode.GETXATTR: {
      // `ls -l` asks every file for security.* and system.*; no file has any.
      const foreign = request.compare(OUR_XATTRS, 0, OUR_XATTRS.length, XATTR_NAME, XATTR_NAME + 5) !== 0;
      if (foreign) replies.fail(unique, 'ENODATA');
      return foreign;
    }
    case Opcode.FLUSH:
      // Refused so once, the kernel never asks again. Here, because the main thread may be what waits for it: it blocks
      // in spawn while the child's exec closes, and so flushes, what we have open on a mount of our own.
      replies.fail(unique, 'ENOSYS');
      return true;
    default:
      return false;
  }
}

/** Sends a request to the main thread. */
function forward(length: number): void {
  const bytes = new Uint8Array(inbox.request.subarray(0, length));
  if (inFlight !== undefined && !WITHOUT_ANSWER.has(inbox.view.getUint32(OPCODE, LITTLE))) {
    inbox.pass((slot) => tell({ kind: 'kept', bytes, slot }));
    return;
  }
  tell(bytes);
  inbox.done();
}

function readRequest(unique: bigint): ReadJob {
  const { view } = inbox;
  return {
    unique,
    pid: view.getUint32(PID, LITTLE),
    fh: Number(view.getBigUint64(FH, LITTLE)),
    offset: Number(view.getBigUint64(OFFSET, LITTLE)),
    length: view.getUint32(SIZE, LITTLE),
    uncached: (view.getUint32(FLAGS, LITTLE) & constants.O_DIRECT) !== 0,
  };
}

function wantedOpen(unique: bigint): Wanted {
  const { view } = inbox;
  return { unique, node: Number(view.getBigUint64(NODE, LITTLE)), uid: view.getUint32(UID, LITTLE) };
}

function seekRequest(unique: bigint): Seek {
  const { fh, offset, whence } = LSEEK_IN.decode(inbox.request, IN_HEADER.size);
  return { unique, pid: inbox.view.getUint32(PID, LITTLE), fh, offset, whence };
}

/** This worker's read had stalled: it now takes the queued reads of that source, one by one, until told otherwise. */
function serveWhileRecalled(): 'rejoin' | 'retire' {
  let waiting: FromWorker = { kind: 'waiting' };
  for (;;) {
    tell(waiting);
    const message = nextMessage();
    if (message.kind !== 'read') return message.kind;
    waiting = { kind: 'waiting', answered: message.job.unique };
    if (!reads.serve(message.job, HandleState.queued)) {
      tell({ kind: 'refused', job: message.job });
      waiting = { kind: 'waiting' };
    }
    claims.settle(workerId);
    // A job can stall and be recalled as well: the next 'waiting' answers that, too.
    claims.recalled(workerId);
  }
}

function nextMessage(): ToWorker {
  for (;;) {
    const seen = claims.rung(workerId);
    const received = receiveMessageOnPort(port) as { message: ToWorker } | undefined;
    if (received !== undefined) return received.message;
    claims.awaitRing(workerId, seen);
  }
}
