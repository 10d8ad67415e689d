/**
 * A program of its own, so that nothing else runs in it: opens PATH, reads 4 KiB, closes, at places far apart, and
 * prints the seconds each took, one a line. Usage: first-byte-probe PATH BYTES
 */
import { closeSync, openSync, readSync } from 'node:fs';

const [, , path = '', bytes = '0'] = process.argv;
const PLACES = 21;
const stride = Math.floor(Number(bytes) / PLACES / 4096) * 4096;
const buffer = Buffer.alloc(4096);
const took: number[] = [];
for (let place = 0; place < PLACES; place += 1) {
  const began = process.hrtime.bigint();
  const fd = openSync(path, 'r');
  readSync(fd, buffer, 0, buffer.length, place * stride);
  took.push(Number(process.hrtime.bigint() - began) / 1e9);
  closeSync(fd);
}
// The first round also compiled this loop.
process.stdout.write(took.slice(1).join('\n') + '\n');
