#!/usr/bin/env node
'use strict';
// CommonJS on purpose: libuv's pool must be sized before any module is loaded asynchronously. Its default of four
// threads is shared with dns.lookup, so four reads of a hung device would stop token renewal. In an ES module
// entry the pool exists already.
process.env.UV_THREADPOOL_SIZE ??= '32';
// First of all: without a listener SIGUSR1 has Node open its inspector, a port on which any local user could have this
// process run code. Ignored, both: neither means anything here, and SIGUSR2 would end a mount.
for (const signal of ['SIGUSR1', 'SIGUSR2']) process.on(signal, () => undefined);
// One that came while Node itself was starting. An inspector that somebody asked for by a flag stays.
const inspector = require('node:inspector');
const wanted = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].some((word) =>
  word.includes('--inspect'),
);
const shut = () => void (wanted || inspector.url() === undefined || inspector.close());
shut();
require('node:timers').setTimeout(shut, 200).unref();

import('../dist/src/cli/main.js')
  .then(({ main }) => main(process.argv.slice(2)))
  .then((status) => {
    // Not exitCode alone: a thread that hangs in a read of a dead device must not keep the process. main() has waited
    // until the readers of its output have taken all of it.
    process.exit(status);
  });
