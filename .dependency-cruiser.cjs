'use strict';
const { readdirSync } = require('node:fs');
const { join } = require('node:path');

// The import law (ARCHITECTURE.md), executable: a breach fails `npm run check`. Imports of types count as imports.
// test/scripts/law.test.ts breaks every rule once and sees it fire.

/**
 * The rooms of src/, from the bottom up. A room is one folder without its sub-folders, '.' is src/ itself. It may import
 * rooms of lower floors only; rooms of one floor do not know each other. `FOLDER/*` is each room in it that has no line of
 * its own: a new kind of source and a new connector need none.
 */
const WRITTEN = [
  // What every file may name: errors, secrets, the interface of the log, the version.
  ['.'],
  ['async'],
  // This host.
  ['sys', 'sys/calls'],
  ['sys/devices', 'sys/files', 'sys/mounts'],
  ['sys/processes'],
  ['config', 'ceph', 'nbd'],
  // Where bytes come from.
  ['sources/cache'],
  ['sources/contract'],
  ['sources/cached'],
  ['sources/file'],
  ['sources/*'],
  ['sources'],
  // OpenStack.
  ['cinder/contract'],
  ['cinder/http'],
  ['cinder/keystone'],
  ['cinder/glance', 'cinder/volumes'],
  ['cinder/catalog'],
  ['cinder'],
  // A volume becomes readable on this host.
  ['attach/contract', 'attach/host', 'attach/journal'],
  ['attach/connection'],
  ['attach/connectors/*'],
  ['attach/connectors/brick', 'attach/connectors/qemu'],
  ['attach/connectors/krbd'],
  ['attach/connectors'],
  ['attach/head', 'attach/proof'],
  ['attach/context'],
  ['attach/target'],
  ['attach/cleanup'],
  ['attach/lifecycle'],
  ['attach'],
  // Images become files.
  ['fs/contract'],
  ['fs/tree'],
  ['fs/fuse/protocol'],
  ['fs/fuse/shared'],
  ['fs/fuse/channel'],
  ['fs/fuse/channel/dev-fuse'],
  ['fs/fuse/recovery', 'fs/fuse/worker', 'fs/mount'],
  ['fs/fuse/files'],
  ['fs/fuse/pool'],
  ['fs/fuse/operations'],
  ['fs', 'fs/fuse', 'fs/fuse-native'],
  // Processes and what operators see of them.
  ['ops'],
  ['supervisor'],
  ['daemon'],
  ['cli/command-line', 'cli/process'],
  ['cli/output', 'cli/settings'],
  ['cli/control', 'cli/serving'],
  ['cli/verbs'],
  ['cli'],
];

/** Folders that only daemon/, which wires them, sees whole; the rooms of each that others may import. */
const SIBLINGS = {
  cinder: ['contract'],
  attach: ['contract'],
  fs: ['contract', 'mount', 'fuse/protocol'],
};

/** What the kernel is spoken to over (fs/fuse/channel) is chosen by these alone; the others see its contract. */
const CHOOSE_CHANNEL = ['fs/fuse/engine.ts', 'fs/fuse/worker/worker.ts', 'daemon/fallback.ts'];

/** The command line composes nothing: daemon/ and supervisor/ do it for cli/, which sees nothing of these. */
const COMPOSED_FOR_CLI = ['ceph', 'nbd', 'sources', 'fs/fuse', 'fs/tree'];

/** The embedded cloud shares no code with the clients it is tested with; of src/ it may import these. */
const SEEN_BY_DEVCLOUD = ['.', 'async', 'ops'];

/** Each third party is imported by these files of src/ alone. */
const DOORS = {
  execa: ['sys/processes/run-command.ts'],
  'fuse-native': ['fs/fuse-native/binding.ts'],
  koffi: ['sys/calls/koffi.ts'],
  'lru-cache': ['cinder/catalog/catalog-search.ts', 'sources/cache/block-cache.ts'],
  pino: ['ops/log.ts'],
  'pino-pretty': ['ops/log.ts'],
  undici: ['cinder/http/connections.ts', 'cinder/http/http.ts', 'cli/control/control-client.ts'],
  yaml: ['config/yaml-file.ts'],
};

const escaped = (text) => text.replace(/[.]/g, '\\.');
const filesOf = (room) => (room === '.' ? '^src/[^/]+$' : `^src/${room}/[^/]+$`);
const roomsFor = (entry) => (entry.endsWith('/*') ? unwritten(entry.slice(0, -2)) : [entry]);
const unwritten = (folder) =>
  readdirSync(join(__dirname, 'src', folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => `${folder}/${name}`)
    .filter((room) => !WRITTEN.flat().includes(room));
const FLOORS = WRITTEN.map((rooms) => rooms.flatMap(roomsFor));
const ROOMS = FLOORS.flat().map(filesOf);
const packageCalled = (name) => `(^|node_modules/)${name}(/|$)`;

const floors = FLOORS.flatMap((rooms, floor) =>
  rooms.map((room) => ({
    name: `floor-of-${room}`,
    comment: `${room} may import lower floors only`,
    severity: 'error',
    from: { path: filesOf(room) },
    to: { path: '^src/', pathNot: [filesOf(room), ...FLOORS.slice(0, floor).flat().map(filesOf)] },
  })),
);

const siblings = Object.entries(SIBLINGS).map(([folder, rooms]) => ({
  name: `inside-of-${folder}`,
  comment: `only daemon/ imports more of ${folder} than ${rooms.join(', ')}`,
  severity: 'error',
  from: { path: '^src/', pathNot: `^src/(${folder}|daemon)/` },
  to: { path: `^src/${folder}/`, pathNot: rooms.map((room) => filesOf(`${folder}/${room}`)) },
}));

const doors = Object.entries(DOORS).map(([name, files]) => ({
  name: `only-door-to-${name}`,
  severity: 'error',
  from: { path: '^src/', pathNot: files.map((file) => `^src/${escaped(file)}$`) },
  to: { path: packageCalled(name) },
}));

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-orphans', severity: 'error', from: { orphan: true, path: '^src/' }, to: {} },
    {
      name: 'room-without-a-floor',
      comment: 'every folder of src/ stands in FLOORS',
      severity: 'error',
      from: { path: '^src/', pathNot: ROOMS },
      to: {},
    },
    ...floors,
    ...siblings,
    {
      name: 'cli-composes-nothing',
      severity: 'error',
      from: { path: '^src/cli/' },
      to: { path: `^src/(${COMPOSED_FOR_CLI.join('|')})/` },
    },
    {
      name: 'channel-behind-its-contract',
      comment: `only ${CHOOSE_CHANNEL.join(', ')} import an implementation of the channel`,
      severity: 'error',
      from: {
        path: '^src/',
        pathNot: ['^src/fs/fuse/channel/[^/]+/', ...CHOOSE_CHANNEL.map((file) => `^src/${escaped(file)}$`)],
      },
      to: { path: '^src/fs/fuse/channel/[^/]+/' },
    },
    {
      name: 'src-is-the-product',
      comment: 'what is shipped imports nothing that is not',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(devcloud|test|bench|scripts)/' },
    },
    {
      name: 'devcloud-is-a-double',
      severity: 'error',
      from: { path: '^devcloud/' },
      to: { path: '^(src|test|bench|scripts)/', pathNot: SEEN_BY_DEVCLOUD.map(filesOf) },
    },
    {
      name: 'third-party-without-a-door',
      severity: 'error',
      from: { path: '^src/' },
      to: {
        pathNot: ['^src/', '^(devcloud|test|bench|scripts)/', ...Object.keys(DOORS).map(packageCalled)],
        dependencyTypesNot: ['core'],
      },
    },
    ...doors,
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
