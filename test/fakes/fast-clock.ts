import type { Clock } from '../../src/async/clock.js';

/** Real time, `speed` times faster: deadlines of minutes pass in seconds while real answers come as they come. */
export function fastClock(speed: number): Clock {
  return {
    now: () => performance.now() * speed,
    wall: () => Date.now(),
    uptime: () => performance.now() * speed,
    after(ms, callback) {
      const timer = setTimeout(callback, Math.min(ms / speed, 2 ** 31 - 1));
      return () => clearTimeout(timer);
    },
  };
}
