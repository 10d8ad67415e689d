#!/usr/bin/env node
'use strict';
// CommonJS on purpose: libuv's pool must be sized before any module is loaded asynchronously. Its default of four
// threads is shared with dns.lookup, so four reads of a hung device would stop token renewal. In an ES module
// entry the pool exists already.
process.env.UV_THREADPOOL_SIZE ??= '32';

import('../dist/src/cli/main.js')
  .then(({ main }) => main(process.argv.slice(2)))
  .then((status) => {
    // Not exitCode alone: a thread that hangs in a read of a dead device must not keep the process. main() has waited
    // until the readers of its output have taken all of it.
    process.exit(status);
  });
