import type { OptionSpec } from './option-spec.js';

/** How the mount is held, served and given up. */
export const MOUNT_OPTIONS = {
  drain_timeout: {
    type: 'seconds',
    group: 'files',
    default: 10,
    max: 86400,
    doc: 'How long SIGTERM waits for open files before it aborts them and unmounts.',
  },
  fuse: {
    type: 'enum',
    group: 'files',
    values: ['engine', 'native'],
    default: 'engine',
    doc: 'What serves FUSE: our own engine, or the fuse-native package, which does not come with cinderfs (`npm install fuse-native`, and libfuse2 of Debian).',
  },
  resend: {
    type: 'boolean',
    group: 'files',
    default: true,
    doc: 'Have the kernel send again what a dead engine had in hand, where it can (Linux 6.9). Off: as on older kernels, cinderfs keeps it in memory of its own, in `run_dir`.',
  },
  supervise: {
    type: 'boolean',
    group: 'files',
    default: true,
    doc: 'Let a small process of its own hold the mount, so that it outlives the engine that serves it: after a crash and for `cinderfs upgrade`. Our own engine only.',
  },
} as const satisfies Record<string, OptionSpec>;
