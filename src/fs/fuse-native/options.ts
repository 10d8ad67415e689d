import type { TransportOptions } from '../contract/transport.js';

/** Requests in the background before the kernel holds more back; its default of 12 lets one dead volume stall all (F3). */
const MAX_BACKGROUND = 1024;

/**
 * Options for the binding. It joins its options with commas, unchecked, so that `fsname` carries those it has no name
 * for (F7).
 */
export function bindingOptions(options: TransportOptions): Readonly<Record<string, unknown>> {
  const fsname = [
    options.fsname.replace(/[,\\\s]/g, '_'),
    'subtype=cinderfs',
    'ro,nosuid,nodev,noexec',
    `max_background=${MAX_BACKGROUND}`,
    `congestion_threshold=${(MAX_BACKGROUND * 3) / 4}`,
    `entry_timeout=${options.attributeTtlSeconds}`,
    // libfuse 2 has one time for all attributes; the status file's size must be fresh, and asking us is cheap.
    'attr_timeout=0',
  ].join(',');
  return {
    fsname,
    // Deadlines are ours: the binding's own would answer and then never send the release (F1).
    timeout: false,
    // Image bytes never change: pages stay valid from one open to the next.
    kernelCache: true,
    defaultPermissions: true,
    allowOther: options.allowOther,
  };
}
