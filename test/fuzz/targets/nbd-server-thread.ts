/** A server for clients that block their thread: sends every one what it was told last, and hangs up. */
import { createServer } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

let answers = Buffer.alloc(0);
const server = createServer((peer) => {
  peer.on('error', () => undefined);
  peer.resume().end(answers);
});
server.listen(workerData as string, () => parentPort?.postMessage('listens'));
parentPort?.on('message', (input: Uint8Array) => {
  answers = Buffer.from(input);
  parentPort?.postMessage('ready');
});
