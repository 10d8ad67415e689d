/** Everything the bench knows, in the order it is run and shown. */
import { prepareDevice } from './backings/device.js';
import type { BackingName, PrepareBacking } from './backings/backing.js';
import { prepareFile } from './backings/file.js';
import { prepareRbd } from './backings/rbd.js';
import { cpuPerGib } from './metrics/cpu-per-gib.js';
import { fanin32 } from './metrics/fanin-32.js';
import { firstByte } from './metrics/first-byte.js';
import type { Metric } from './metrics/metric.js';
import { rand4k1, rand4k8, rand4k8Apart } from './metrics/rand4k.js';
import { rss, rssIdle } from './metrics/rss.js';
import { seqCold } from './metrics/seq-cold.js';
import { seqWarm } from './metrics/seq-warm.js';
import { sparseConvert } from './metrics/sparse-convert.js';
import { engine, engineNbd, enginePassthrough, fuseNative } from './servers/cinderfs.js';
import { direct } from './servers/direct.js';
import { nbdfuse, nbdfuseOverNbdkit } from './servers/nbdfuse.js';
import { qsdFuse } from './servers/qsd-fuse.js';
import { rbdFuse } from './servers/rbd-fuse.js';
import type { Server } from './servers/server.js';

export const BACKINGS: Readonly<Record<BackingName, PrepareBacking>> = {
  file: prepareFile,
  device: prepareDevice,
  rbd: prepareRbd,
};

/** `direct` first: the others are compared with it. */
export const SERVERS: readonly Server[] = [
  direct,
  engine,
  enginePassthrough,
  engineNbd,
  fuseNative,
  nbdfuse,
  nbdfuseOverNbdkit,
  qsdFuse,
  rbdFuse,
];

/** The order matters to the two kinds of rss: see there. */
export const METRICS: readonly Metric[] = [
  rssIdle,
  seqCold,
  seqWarm,
  cpuPerGib,
  rand4k1,
  rand4k8,
  rand4k8Apart,
  firstByte,
  fanin32,
  rss,
  sparseConvert,
];
