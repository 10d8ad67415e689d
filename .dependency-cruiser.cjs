'use strict';
// The import law (ARCHITECTURE.md), executable. A breach fails `npm run check`.
//   bin -> cli -> daemon -> {fs, attach, cinder, ops} -> {ceph, config, errors, async}
// fs, attach and cinder are siblings: they share types only; daemon/ is the one composition root.

/** A third party behind one door: only `doors` may import `name`. */
const door = (name, doors) => ({
  name: `only-door-to-${name}`,
  severity: 'error',
  from: { path: '^src/', pathNot: doors },
  to: { path: `(^|node_modules/)${name}(/|$)`, dependencyTypesNot: ['type-only'] },
});

/** Folder `from` may not import (at run time) any of `to`. */
const wall = (from, to, comment) => ({
  name: `wall-${from}`,
  comment,
  severity: 'error',
  from: { path: `^src/${from}/` },
  to: { path: `^src/(${to})(/|\\.ts$)`, dependencyTypesNot: ['type-only'] },
});

module.exports = {
  forbidden: [
    {
      name: 'no-circular',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'no-orphans', severity: 'error', from: { orphan: true, path: '^src/' }, to: {} },
    {
      name: 'src-never-imports-test',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(devcloud|test|bench|scripts)/' },
    },
    wall(
      'sys',
      'ceph|config|cinder|attach|fs|ops|daemon|cli|supervisor',
      'files and system calls are below everybody',
    ),
    wall('ceph', 'config|cinder|attach|fs|ops|daemon|cli', 'what fs and attach share is below both'),
    wall('async', 'ceph|config|cinder|attach|fs|ops|daemon|cli', 'async/ knows only errors.ts'),
    wall('config', 'ceph|cinder|attach|fs|ops|daemon|cli', 'config/ is at the bottom'),
    wall('cinder', 'ceph|attach|fs|ops|daemon|cli', 'siblings share types only'),
    wall('attach', 'cinder|fs|ops|daemon|cli', 'siblings share types only'),
    wall('fs', 'cinder|attach|ops|daemon|cli', 'siblings share types only'),
    wall('ops', 'cinder|attach|fs|daemon|cli', 'ops sees the others as types'),
    wall('daemon', 'cli', 'the daemon does not know how it was started'),
    door('undici', ['^src/cinder/http/(http|connections)\\.ts$', '^src/cli/control/control-client\\.ts$']),
    door('execa', ['^src/sys/processes/run-command\\.ts$']),
    door('lru-cache', ['^src/sources/cache/block-cache\\.ts$', '^src/cinder/catalog/']),
    door('pino', ['^src/ops/log\\.ts$']),
    door('fuse-native', ['^src/fs/fuse-native/']),
    door('koffi', ['^src/sys/calls/koffi\\.ts$']),
    door('yaml', ['^src/config/']),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: 'specify',
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
