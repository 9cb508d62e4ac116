export interface BackoffOptions {
  /** The first ceiling, in milliseconds; doubles with each attempt. */
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
}

/** Of what the plane asked for, so that those who were told the same come one after the other. */
const JITTER = 0.5;

/**
 * How long to wait before attempt `attempt` + 1: full jitter below a doubling ceiling, on top of
 * what the plane asked for. Jitter keeps a fleet that failed together from coming back together.
 * @param random in [0, 1)
 */
export function backoffMs(
  attempt: number,
  options: BackoffOptions,
  retryAfterMs: number | undefined,
  random: number,
): number {
  const ceiling = Math.min(options.backoffMaxMs, options.backoffBaseMs * 2 ** attempt);
  if (retryAfterMs === undefined) return random * ceiling;
  return retryAfterMs + random * Math.max(ceiling, retryAfterMs * JITTER);
}
