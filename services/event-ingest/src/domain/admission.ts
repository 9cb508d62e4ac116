import { MemplaneError } from '@memplane/contracts';

export interface AdmissionLimits {
  readonly inflight_events_max: number;
  readonly inflight_bytes_max: number;
}

/**
 * Bounds what waits for the log: events and their bytes. What does not fit is refused at once, in
 * words, rather than kept waiting; a request that comes alone always fits.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  #events = 0;
  #bytes = 0;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  get events(): number {
    return this.#events;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Takes room. Each `enter` needs its `leave`.
   * @throws MemplaneError `overloaded`
   */
  enter(events: number, bytes: number): void {
    const { inflight_events_max, inflight_bytes_max } = this.#limits;
    if (this.#events > 0 && this.#events + events > inflight_events_max) {
      throw overloaded('inflight_events_max', inflight_events_max);
    }
    if (this.#bytes > 0 && this.#bytes + bytes > inflight_bytes_max) {
      throw overloaded('inflight_bytes_max', inflight_bytes_max);
    }
    this.#events += events;
    this.#bytes += bytes;
  }

  leave(events: number, bytes: number): void {
    this.#events -= events;
    this.#bytes -= bytes;
  }
}

function overloaded(limit: string, max: number): MemplaneError {
  return new MemplaneError('overloaded', `Too much is waiting for the log (${limit}: ${max}).`, {
    retryAfterMs: 1000,
    extra: { limit, max },
  });
}
