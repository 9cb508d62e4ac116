import { randomBytes } from 'node:crypto';
import type { Random, Timers } from '../ports.ts';

/** Beyond this, `setTimeout` runs at once. */
const DELAY_MAX_MS = 2 ** 31 - 1;

/** The process's own monotonic clock and timers. */
export const systemTimers: Timers = {
  now: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, Math.min(delayMs, DELAY_MAX_MS));
    return () => clearTimeout(timer);
  },
};

export const systemRandom: Random = {
  next: Math.random,
  bytes: randomBytes,
};
