/**
 * A worker thread: blocks on the channel to the kernel, answers READ of descriptor sources itself, forwards everything else.
 * There is no event loop hop between the kernel and the bytes, which is where the speed comes from. This file wires it.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { systemCalls } from '../../../sys/calls/system-calls.js';
import { devFuseWorkerChannel } from '../channel/dev-fuse/dev-fuse-worker-channel.js';
import { ReplyOwnership } from '../shared/reply-ownership.js';
import { WorkerAnswers } from './answers.js';
import type { FromWorker, ToWorker, WorkerStart } from './messages.js';
import { RequestLoop } from './request-loop.js';
import { loadModule, loadSources } from './sources.js';

if (parentPort === null) throw new Error('worker.js runs as a worker thread');
const port = parentPort;
const tell = (message: FromWorker): void => port.postMessage(message);
// Now: loaded at the first LSEEK, it would cost each worker's first caller 8 ms, which is a hundred LSEEKs.
systemCalls();
// What is known of the kinds of source ahead: a worker that begins has them loaded.
await Promise.all((workerData as readonly string[]).map(loadModule));
const start = await begin();
const { workerId, inFlight } = start;
const claims = new ReplyOwnership(start.claims);
const sources = await loadSources(start, (source, message) => tell({ kind: 'source', source, message }));
const channel = devFuseWorkerChannel(start.channel, { workerId, inFlight, memory: sources.memory });
const answers = new WorkerAnswers({ start, channel, claims, sources, tell });
const keeps = inFlight !== undefined;
new RequestLoop({ workerId, channel, claims, answers, keeps, tell, message }).run();

/** Says that everything is loaded and waits to be told what to serve. */
function begin(): Promise<WorkerStart> {
  return new Promise((resolve) => {
    port.once('message', resolve);
    tell({ kind: 'loaded' });
  });
}

function message(): ToWorker | undefined {
  return (receiveMessageOnPort(port) as { message: ToWorker } | undefined)?.message;
}
