import { ApiError, header, type Call } from './service.js';

/** Cinder 21 (Zed). */
export const MAX_MINOR = 70;

/** The minor of the microversion a request asks for: 0 when it names none. Throws ApiError 400 or 406, as Cinder. */
export function microversionOf(call: Call): number {
  const asked = (header(call, 'openstack-api-version') ?? '')
    .split(',')
    .map((entry) => /^\s*volume\s+(\S+)\s*$/.exec(entry)?.[1])
    .find((version) => version !== undefined);
  if (asked === undefined) return 0;
  if (asked === 'latest') return MAX_MINOR;
  const [, major, minor] = /^(\d+)\.(\d+)$/.exec(asked) ?? [];
  if (major === undefined || minor === undefined) {
    const message = `API Version String ${asked} is of invalid format. Must be of format MajorNum.MinorNum.`;
    throw new ApiError(400, message);
  }
  if (Number(major) !== 3 || Number(minor) > MAX_MINOR) {
    const message = `Version ${asked} is not supported by the API. Minimum is 3.0 and maximum is 3.${MAX_MINOR}.`;
    throw new ApiError(406, message);
  }
  return Number(minor);
}

/** What Cinder repeats in its answer: the version asked for, even one it refuses; none when it is malformed. */
export function echoedVersion(call: Call): string | undefined {
  const asked = /volume\s+([^\s,]+)/.exec(header(call, 'openstack-api-version') ?? '')?.[1] ?? '3.0';
  if (asked === 'latest') return `3.${MAX_MINOR}`;
  return /^\d+\.\d+$/.test(asked) ? asked : undefined;
}
