import type { Server } from './server.js';

/** The backing itself: what every ratio is to. */
export const direct: Server = {
  name: 'direct',
  isPeer: false,
  needs: [],
  hasOwnCache: () => false,
  serves: () => true,
  start: (image) =>
    Promise.resolve({ target: image.target, pids: [], sourcePids: () => Promise.resolve([]) }),
};
