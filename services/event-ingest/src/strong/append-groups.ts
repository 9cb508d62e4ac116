import { LIMITS, MemplaneError, partitionKey } from '@memplane/contracts';
import type { AppendEnd, AppendOrder, StrongPlace } from '../domain/strong/append-program.ts';

type Orders = [AppendOrder, ...AppendOrder[]];

export interface AppendGroupsOptions {
  /** Appends of one entity that may wait. */
  readonly strong_queue_max: number;
  /** Calls back when nothing else is done to the entity; the next waits until that has ended. */
  readonly inTurn: <T>(of: AppendOrder, work: () => Promise<T>) => Promise<T>;
  /** Appends what one write of the head can take. */
  readonly appendAll: (orders: Orders) => Promise<readonly AppendEnd[]>;
}

interface Waiting {
  readonly order: AppendOrder;
  readonly resolve: (places: readonly StrongPlace[]) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Appends to one entity that come while others are under way go in together, when it is their turn:
 * they share the write of the head and that of the log ("group commit").
 */
export class AppendGroups {
  readonly #options: AppendGroupsOptions;
  /** By entity, those that have not begun, in the order of asking. */
  readonly #waiting = new Map<string, Waiting[]>();

  constructor(options: AppendGroupsOptions) {
    this.#options = options;
  }

  /** @throws MemplaneError `overloaded`, or how the append ended */
  append(order: AppendOrder): Promise<readonly StrongPlace[]> {
    const { strong_queue_max: max } = this.#options;
    const key = partitionKey(order.tenant, order.entity);
    const waiting = this.#waiting.get(key) ?? [];
    if (waiting.length >= max) {
      throw new MemplaneError('overloaded', 'Too much is waiting for this entity.', {
        retryAfterMs: 200,
        extra: { limit: 'strong_queue_max', max },
      });
    }
    const { promise, resolve, reject } = Promise.withResolvers<readonly StrongPlace[]>();
    waiting.push({ order, resolve, reject });
    if (waiting.length === 1) {
      this.#waiting.set(key, waiting);
      this.#takeTurn(key, order);
    }
    return promise;
  }

  #takeTurn(key: string, of: AppendOrder): void {
    const turn = this.#options.inTurn(of, () => this.#appendSome(key));
    // No turn is to be had: too much else waits.
    turn.catch((error: unknown) => {
      for (const { reject } of this.#waiting.get(key) ?? []) reject(error);
      this.#waiting.delete(key);
    });
  }

  async #appendSome(key: string): Promise<void> {
    const waiting = this.#waiting.get(key) ?? [];
    const group = waiting.splice(0, groupLength(waiting.map(({ order }) => order)));
    const [next] = waiting;
    if (next === undefined) this.#waiting.delete(key);
    else this.#takeTurn(key, next.order);
    const orders = group.map(({ order }) => order);
    try {
      const ends = await this.#options.appendAll(orders as Orders);
      for (const [i, { resolve, reject }] of group.entries()) {
        const end = ends[i];
        if (end === undefined) reject(new Error('an append without an end'));
        else if ('error' in end) reject(end.error);
        else resolve(end.places);
      }
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
  }
}

/**
 * How many of the first orders may go in together: what one batch may hold, under one table of zones,
 * and no id twice, since a repetition has to find the first.
 */
function groupLength(orders: readonly AppendOrder[]): number {
  const ids = new Set<string>();
  let [events, bytes] = [0, 0];
  for (const [n, order] of orders.entries()) {
    events += order.events.length;
    bytes += order.bytes;
    const isWithin =
      events <= LIMITS.strong_batch_events_max &&
      bytes <= LIMITS.strong_batch_bytes_max &&
      order.zones === orders[0]?.zones &&
      !order.events.some(({ id }) => ids.has(id));
    if (n > 0 && !isWithin) return n;
    for (const { id } of order.events) ids.add(id);
  }
  return orders.length;
}
