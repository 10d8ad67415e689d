import { HOST_HURTS } from './hosts.js';
import type { Hurt } from './hurt.js';
import { SERVICE_HURTS } from './services.js';
import { VOLUME_HURTS } from './volumes.js';

/** Everything that can go wrong in a soak: a new hurt is a row in one of these tables. */
export const HURTS: readonly Hurt[] = [...SERVICE_HURTS, ...VOLUME_HURTS, ...HOST_HURTS];
