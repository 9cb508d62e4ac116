import { type Config, flag, integer } from '../config.ts';
import type { GateOptions } from './gate.ts';

/** Of every service: how many requests it lets in at once, and how long others wait. */
export const ADMISSION_SETTINGS = {
  hasAdmission: flag(
    'MEMPLANE_ADMISSION',
    true,
    'Whether a service finds out how many requests it can do at once, and lets in no more.',
  ),
  concurrency_min: integer(
    'MEMPLANE_CONCURRENCY_MIN',
    16,
    'Requests that a service lets in at once however long they take.',
    { min: 1, max: 100_000 },
  ),
  concurrency_max: integer(
    'MEMPLANE_CONCURRENCY_MAX',
    512,
    'Requests that a service lets in at once however short they take; more wait.',
    { min: 1, max: 100_000 },
  ),
  queue_requests_max: integer(
    'MEMPLANE_QUEUE_REQUESTS_MAX',
    1_024,
    'Requests that may wait to be let in; more are answered 429.',
    { max: 1_000_000 },
  ),
  queue_bytes_max: integer(
    'MEMPLANE_QUEUE_BYTES_MAX',
    64 * 1024 * 1024,
    'Bytes of the bodies of requests that may wait to be let in; more are answered 429.',
    { unit: 'bytes' },
  ),
  queueWaitMs: integer(
    'MEMPLANE_QUEUE_WAIT_MS',
    2_000,
    'How long a request of a burst may wait to be let in; of a lasting overload much less.',
    { unit: 'ms', min: 1, max: 60_000 },
  ),
} as const;

/** What a service's server is given; undefined: all are let in. */
export function admissionOf(config: Config<typeof ADMISSION_SETTINGS>): GateOptions | undefined {
  return config.hasAdmission ? config : undefined;
}
