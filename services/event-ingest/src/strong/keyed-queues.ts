import { MemplaneError } from '@memplane/contracts';

/**
 * Work on one key is done one after the other, in the order of asking; work on different keys does
 * not wait. What would wait beyond the bound is refused.
 */
export class KeyedQueues {
  readonly #waiting_max: number;
  readonly #queues = new Map<string, { end: Promise<unknown>; count: number }>();

  /** @param waiting_max of one key, the one that is being done included */
  constructor(waiting_max: number) {
    this.#waiting_max = waiting_max;
  }

  /** Keys with work. */
  get size(): number {
    return this.#queues.size;
  }

  /** @throws MemplaneError `overloaded` */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const queue = this.#queues.get(key) ?? { end: Promise.resolve(), count: 0 };
    if (queue.count >= this.#waiting_max) {
      const max = this.#waiting_max;
      throw new MemplaneError('overloaded', 'Too much is waiting for this entity.', {
        retryAfterMs: 200,
        extra: { limit: 'strong_queue_max', max },
      });
    }
    queue.count++;
    this.#queues.set(key, queue);
    const turn = queue.end.then(work, work);
    queue.end = turn.then(nothing, nothing);
    try {
      return await turn;
    } finally {
      if (--queue.count === 0) this.#queues.delete(key);
    }
  }
}

function nothing(): void {}
