import { integer } from '../config.ts';

/** Of calls of the strong store by a sidecar. */
export const STRONG_SETTINGS = {
  strongTimeoutMs: integer(
    'MEMPLANE_STRONG_TIMEOUT_MS',
    2_500,
    'How long one call of the strong store may take; what was written then is unknown.',
    { unit: 'ms', min: 10, max: 60_000 },
  ),
  strongSettleMs: integer(
    'MEMPLANE_STRONG_SETTLE_MS',
    5_000,
    'After this, what a sidecar was told to write to the strong store is written or never will be.',
    { unit: 'ms', min: 100, max: 120_000 },
  ),
} as const;
