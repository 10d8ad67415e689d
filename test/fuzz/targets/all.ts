import type { Target } from '../target.js';
import { brickAnswers } from './brick-answers.js';
import { clouds } from './clouds.js';
import { configuration } from './configuration.js';
import { controlClient } from './control-client.js';
import { controlServer } from './control-server.js';
import { fuse } from './fuse.js';
import { imageHead } from './image-head.js';
import { imageList } from './image-list.js';
import { inFlight } from './in-flight.js';
import { keptSettings } from './kept-settings.js';
import { nbd } from './nbd.js';
import { nbdBlocking } from './nbd-blocking.js';
import { nbdProbe } from './nbd-probe.js';
import { openFiles } from './open-files.js';
import { openstack } from './openstack.js';
import { qcow2Header } from './qcow2-header.js';
import { records } from './records.js';
import { smallFiles } from './small-files.js';
import { snapshotChain } from './snapshot-chain.js';

export const TARGETS: readonly Target[] = [
  fuse,
  clouds,
  configuration,
  openstack,
  nbd,
  nbdBlocking,
  nbdProbe,
  records,
  openFiles,
  inFlight,
  imageList,
  keptSettings,
  smallFiles,
  controlServer,
  controlClient,
  imageHead,
  qcow2Header,
  snapshotChain,
  brickAnswers,
];
