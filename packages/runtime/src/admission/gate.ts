import { DrainRate } from './drain-rate.ts';
import { FairQueue, type Urgency, type Waiting } from './fair-queue.ts';
import { type Baseline, GRADIENT_DEFAULTS, GradientLimit } from './gradient-limit.ts';

export interface GateOptions {
  readonly concurrency_min: number;
  readonly concurrency_max: number;
  /** Bodies of requests that wait, as declared; one that comes alone always fits. */
  readonly queue_bytes_max: number;
  readonly queue_requests_max: number;
  /** How long a burst may wait. */
  readonly queueWaitMs: number;
}

/** What asks to be let in. */
export interface Ask {
  readonly urgency: Urgency;
  readonly tenant: string;
  readonly agent: string;
  /** Of its body, as far as it is declared. */
  readonly bytes: number;
  readonly kind: Baseline;
}

/** Why something was not let in, and when it may come again. */
export interface Refusal {
  readonly limit: 'queue_requests_max' | 'queue_bytes_max' | 'queueWaitMs';
  readonly max: number;
  /** How many may be under way at once, now. */
  readonly concurrency: number;
  readonly retryAfterMs: number;
}

/** A request under way. To be ended exactly once. */
export interface Permit {
  readonly kind: Baseline;
  startedMs: number;
  isHeld: boolean;
}

/**
 * While the queue never became empty within `queueWaitMs` it is no burst: what waits is then refused
 * much earlier, so that what is let in is served in time (controlled delay: Nichols & Jacobson,
 * "Controlling Queue Delay", 2012, as B. Maurer applies it to servers in "Fail at Scale", 2015).
 */
const STANDING_WAIT_MS_MIN = 100;
/** Of a standing queue: how many times longer than being served waiting may take. */
const STANDING_WAIT_FACTOR = 2;
const CONCURRENCY_INITIAL = 32;

interface Waiter extends Waiting {
  readonly permit: Permit;
  readonly resolve: (outcome: Permit | Refusal) => void;
}

export function isRefusal(outcome: Permit | Refusal): outcome is Refusal {
  return 'limit' in outcome;
}

/**
 * Lets in as many requests at once as the service does well with, and keeps some more waiting in
 * fair turns. The time is passed in; `sweep` is to be called now and then while something waits.
 */
export class AdmissionGate {
  readonly #options: GateOptions;
  readonly #limit: GradientLimit;
  readonly #rate = new DrainRate();
  readonly #queue = new FairQueue<Waiter>();
  #running = 0;
  /** When nothing waited last. */
  #emptyMs = 0;
  /** Of what was served lately. */
  #serviceMs = 0;

  constructor(options: GateOptions) {
    this.#options = options;
    const { concurrency_min: limit_min, concurrency_max: limit_max } = options;
    this.#limit = new GradientLimit({
      ...GRADIENT_DEFAULTS,
      limit_min,
      limit_max,
      limit_initial: Math.max(limit_min, Math.min(limit_max, CONCURRENCY_INITIAL)),
    });
  }

  /** How many requests may be under way at once, now. */
  get concurrency(): number {
    return this.#limit.limit;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#queue.size;
  }

  get waitingBytes(): number {
    return this.#queue.bytes;
  }

  /** Requests a second that end here. */
  drainRate(nowMs: number): number {
    return this.#rate.perSecond(nowMs);
  }

  /** @param nowMs of a clock that never goes back, here as everywhere */
  enter(ask: Ask, nowMs: number): Permit | Refusal | Promise<Permit | Refusal> {
    const permit = { kind: ask.kind, startedMs: nowMs, isHeld: true };
    if (this.#running < this.#limit.limit && this.#queue.size === 0) {
      this.#running++;
      this.#emptyMs = nowMs;
      return permit;
    }
    return this.#wait(ask, permit, nowMs);
  }

  /**
   * Ends a request, or lets the next one in while it goes on: waiting for what others do and sending
   * a stream need no place.
   * @param isTimed whether its time tells how the service does
   */
  leave(permit: Permit, isTimed: boolean, nowMs: number): void {
    if (!permit.isHeld) return;
    permit.isHeld = false;
    if (isTimed) {
      const tookMs = nowMs - permit.startedMs;
      this.#serviceMs += (tookMs - this.#serviceMs) / 64;
      this.#limit.sample(permit.kind, tookMs, this.#running, nowMs);
    }
    this.#rate.end(nowMs);
    this.#running--;
    this.#letIn(nowMs);
  }

  /** Refuses what has waited too long, also where nothing ends any more. */
  sweep(nowMs: number): void {
    for (const waiter of this.#queue.expire(nowMs - this.#waitMs(nowMs))) {
      waiter.resolve(this.#tooLate(nowMs));
    }
  }

  #wait(ask: Ask, permit: Permit, nowMs: number): Refusal | Promise<Permit | Refusal> {
    const { queue_requests_max, queue_bytes_max } = this.#options;
    if (this.#queue.size === 0) this.#emptyMs = nowMs;
    const { promise, resolve } = Promise.withResolvers<Permit | Refusal>();
    const { urgency, tenant, agent, bytes } = ask;
    const waiter: Waiter = { urgency, tenant, agent, bytes, sinceMs: nowMs, permit, resolve };
    while (this.#queue.size > 0 && this.#queue.size >= queue_requests_max) {
      if (!this.#displace(waiter, 'queue_requests_max', nowMs)) {
        return this.#refusal('queue_requests_max', queue_requests_max, nowMs);
      }
    }
    while (this.#queue.size > 0 && this.#queue.bytes + bytes > queue_bytes_max) {
      if (!this.#displace(waiter, 'queue_bytes_max', nowMs)) {
        return this.#refusal('queue_bytes_max', queue_bytes_max, nowMs);
      }
    }
    this.#queue.push(waiter);
    this.#letIn(nowMs);
    return promise;
  }

  #displace(
    newcomer: Waiter,
    limit: 'queue_requests_max' | 'queue_bytes_max',
    nowMs: number,
  ): boolean {
    const displaced = this.#queue.displace(newcomer);
    displaced?.resolve(this.#refusal(limit, this.#options[limit], nowMs));
    return displaced !== undefined;
  }

  #letIn(nowMs: number): void {
    const oldestMs = nowMs - this.#waitMs(nowMs);
    while (this.#queue.size > 0 && this.#running < this.#limit.limit) {
      const waiter = this.#queue.shift() as Waiter;
      if (waiter.sinceMs < oldestMs) {
        waiter.resolve(this.#tooLate(nowMs));
        continue;
      }
      this.#running++;
      waiter.permit.startedMs = nowMs;
      waiter.resolve(waiter.permit);
    }
    if (this.#queue.size === 0) this.#emptyMs = nowMs;
  }

  #waitMs(nowMs: number): number {
    const { queueWaitMs } = this.#options;
    if (nowMs - this.#emptyMs <= queueWaitMs) return queueWaitMs;
    const standing = Math.max(STANDING_WAIT_MS_MIN, STANDING_WAIT_FACTOR * this.#serviceMs);
    return Math.min(queueWaitMs, standing);
  }

  #tooLate(nowMs: number): Refusal {
    return this.#refusal('queueWaitMs', Math.round(this.#waitMs(nowMs)), nowMs);
  }

  #refusal(limit: Refusal['limit'], max: number, nowMs: number): Refusal {
    const retryAfterMs = this.#rate.drainMs(this.#running + this.#queue.size + 1, nowMs);
    return { limit, max, concurrency: this.concurrency, retryAfterMs };
  }
}
