import type { MemplaneError } from '@memplane/contracts';
import { toMemplaneError } from '../problem.ts';
import type { InboundMessage } from './delivery.ts';
import type { DeliveryContext, DeliveryHandler, DeliveryStatus } from './subscription.ts';

export interface KeyOrderedOptions {
  /**
   * Handles one message. What it throws decides: DROP for what is permanent and about the message
   * (4xx, but not what the service itself was refused), else RETRY.
   */
  readonly handle: (message: InboundMessage, context: DeliveryContext) => Promise<void>;
  /**
   * Keeps a message that can never be handled, with the reason, before it is dropped. When this
   * fails the message is delivered again.
   */
  readonly onDrop: (message: InboundMessage, reason: MemplaneError) => Promise<void>;
  /** Told of each message that is to come again. */
  readonly onRetry?: (message: InboundMessage, reason: MemplaneError) => void;
  /** Keys whose messages are handled at once. */
  readonly keys_max: number;
  /**
   * The longest that a delivery takes, in ms; what is not done by then is delivered again. Less
   * than the sidecar's own timeout, which would deliver everything again.
   */
  readonly deliveryTimeoutMs: number;
  /**
   * How often a message may fail by an unexpected error (`internal`) before it is dropped as one
   * that can never be handled. Errors that say nothing about the message have no such bound.
   */
  readonly unexpected_errors_max: number;
}

/** Messages whose unexpected errors are counted at once. */
const COUNTED_MAX = 1_000;

/**
 * Handles messages one by one: those of one key in their order, also across deliveries, those of
 * different keys at the same time. After one that is to come again, the later ones of its key are
 * not touched. Messages without a key have no order.
 */
export function inKeyOrder(options: KeyOrderedOptions): DeliveryHandler {
  const ordered = new KeyOrdered(options);
  return (messages, context) => ordered.deliver(messages, context);
}

class KeyOrdered {
  readonly #options: KeyOrderedOptions;
  /** Of each key at work, when its last delivery has let go of it. */
  readonly #tails = new Map<string, Promise<void>>();
  readonly #unexpected = new Map<string, number>();

  constructor(options: KeyOrderedOptions) {
    this.#options = options;
  }

  async deliver(
    messages: readonly InboundMessage[],
    context: DeliveryContext,
  ): Promise<DeliveryStatus[]> {
    const statuses = new Array<DeliveryStatus>(messages.length).fill('RETRY');
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), this.#options.deliveryTimeoutMs);
    const signal = AbortSignal.any([context.signal, late.signal]);
    const lanes = lanesOf(messages);
    const next = lanes.values();
    const work = async () => {
      for (const lane of next) await this.#lane(lane, messages, statuses, { ...context, signal });
    };
    const workers = Array.from({ length: Math.min(this.#options.keys_max, lanes.length) }, work);
    try {
      await Promise.race([Promise.all(workers), aborted(late.signal)]);
    } finally {
      clearTimeout(timer);
    }
    // A copy: what is still under way no longer changes the answer.
    return [...statuses];
  }

  async #lane(
    lane: Lane,
    messages: readonly InboundMessage[],
    statuses: DeliveryStatus[],
    context: DeliveryContext,
  ): Promise<void> {
    const { key, indices } = lane;
    const before = key === undefined ? undefined : this.#tails.get(key);
    const { promise: tail, resolve: letGo } = Promise.withResolvers<void>();
    if (key !== undefined) this.#tails.set(key, tail);
    try {
      await before;
      for (const i of indices) {
        const message = messages[i];
        if (!message || context.signal.aborted) return;
        const status = await this.#one(message, context);
        statuses[i] = status;
        if (status === 'RETRY') return;
      }
    } finally {
      if (key !== undefined && this.#tails.get(key) === tail) this.#tails.delete(key);
      letGo();
    }
  }

  async #one(message: InboundMessage, context: DeliveryContext): Promise<DeliveryStatus> {
    const { handle, onDrop, onRetry } = this.#options;
    try {
      await handle(message, context);
      this.#unexpected.delete(placeOf(message));
      return 'SUCCESS';
    } catch (thrown) {
      const error = toMemplaneError(thrown);
      if (!isAboutMessage(error) && !this.#isPoison(message, error)) {
        onRetry?.(message, error);
        return 'RETRY';
      }
      try {
        await onDrop(message, error);
        this.#unexpected.delete(placeOf(message));
        return 'DROP';
      } catch (failure) {
        onRetry?.(message, toMemplaneError(failure));
        return 'RETRY';
      }
    }
  }

  #isPoison(message: InboundMessage, error: MemplaneError): boolean {
    if (error.code !== 'internal') return false;
    const place = placeOf(message);
    const count = (this.#unexpected.get(place) ?? 0) + 1;
    this.#unexpected.delete(place);
    this.#unexpected.set(place, count);
    const [oldest] = this.#unexpected.keys();
    if (this.#unexpected.size > COUNTED_MAX && oldest !== undefined) {
      this.#unexpected.delete(oldest);
    }
    return count >= this.#options.unexpected_errors_max;
  }
}

function isAboutMessage(error: MemplaneError): boolean {
  if (error.transient || error.status >= 500) return false;
  return error.code !== 'unauthorized' && error.code !== 'forbidden';
}

interface Lane {
  readonly key: string | undefined;
  readonly indices: number[];
}

function lanesOf(messages: readonly InboundMessage[]): Lane[] {
  const lanes: Lane[] = [];
  const byKey = new Map<string, Lane>();
  for (const [i, { key }] of messages.entries()) {
    const known = key === undefined ? undefined : byKey.get(key);
    if (known) {
      known.indices.push(i);
      continue;
    }
    const lane = { key, indices: [i] };
    lanes.push(lane);
    if (key !== undefined) byKey.set(key, lane);
  }
  return lanes;
}

function placeOf({ topic, partition, offset, entryId }: InboundMessage): string {
  return `${topic}/${partition ?? ''}/${offset ?? entryId}`;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
