import type { AttachContext } from '../context/context.js';
import type { LiveAttachment } from './live-attachment.js';
import { isLost, proveHeld } from './proving.js';

const CONNECT_TRIES = 3;

/** Connects and proves; again, where a neighbour that detached the same volume took the device away in between. */
export async function connectProven(
  connect: () => Promise<LiveAttachment>,
  context: AttachContext,
): Promise<LiveAttachment> {
  for (let left = CONNECT_TRIES - 1; ; left--) {
    const held = await connect();
    try {
      await proveHeld(held, context);
      return held;
    } catch (error) {
      if (left === 0 || !(await isLost(held.connected))) throw error;
      // What is left of it would have no owner; a device that services share may be another's by now.
      if (held.connector.sharesDevices !== true) await held.connector.disconnect(held.connected.host);
    }
  }
}
