import { MemplaneError } from './errors.ts';

/** One call of `append`: events that were finished into JSON, with their partition keys. */
interface Group<R> {
  readonly texts: readonly string[];
  readonly keys: readonly string[];
  readonly bytes: number;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (results: R[]) => void;
  readonly reject: (error: unknown) => void;
}

export interface BatcherOptions<R> {
  readonly batch_events_max: number;
  readonly batch_bytes_max: number;
  readonly batches_in_flight_max: number;
  readonly queue_events_max: number;
  readonly queue_bytes_max: number;
  /** Sends a JSON array of `count` events; answers one result for each. */
  readonly send: (bodyText: string, count: number) => Promise<R[]>;
}

/**
 * Joins the appends of one tick into batches. Events of one key are never under way in two batches
 * at once, so that a repeated batch can't overtake: what was appended first comes first.
 */
export class Batcher<R> {
  readonly #options: BatcherOptions<R>;
  #waiting: Group<R>[] = [];
  readonly #busyKeys = new Set<string>();
  #inFlight = 0;
  #events = 0;
  #bytes = 0;
  #scheduled = false;

  constructor(options: BatcherOptions<R>) {
    this.#options = options;
  }

  /** @throws MemplaneError `queue_full` at once, without taking anything. */
  add(texts: readonly string[], keys: readonly string[], signal?: AbortSignal): Promise<R[]> {
    let bytes = 0;
    for (const text of texts) bytes += text.length;
    const { queue_events_max, queue_bytes_max } = this.#options;
    const full =
      this.#events + texts.length > queue_events_max || this.#bytes + bytes > queue_bytes_max;
    // Whatever its size, one call may go when nothing else waits.
    if (full && this.#events > 0) {
      const message = `${this.#events} events (${this.#bytes} bytes) already wait in this client.`;
      const extra = { queue_events_max, queue_bytes_max };
      return Promise.reject(new MemplaneError('queue_full', message, { transient: true, extra }));
    }
    if (signal?.aborted) return Promise.reject(aborted(signal));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ texts, keys, bytes, signal, resolve, reject });
      this.#events += texts.length;
      this.#bytes += bytes;
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setTimeout(() => {
      this.#scheduled = false;
      this.#pump();
    }, 0);
  }

  #pump(): void {
    while (this.#inFlight < this.#options.batches_in_flight_max) {
      const batch = this.#take();
      if (batch.length === 0) return;
      void this.#run(batch);
    }
  }

  /** The oldest groups that fit together and whose keys are free. */
  #take(): Group<R>[] {
    const { batch_events_max, batch_bytes_max } = this.#options;
    const batch: Group<R>[] = [];
    const left: Group<R>[] = [];
    const blocked = new Set<string>();
    let events = 0;
    let bytes = 0;
    for (const group of this.#waiting) {
      if (group.signal?.aborted) {
        this.#release(group);
        group.reject(aborted(group.signal));
        continue;
      }
      const fits =
        batch.length === 0 ||
        (events + group.texts.length <= batch_events_max && bytes + group.bytes <= batch_bytes_max);
      const free = group.keys.every((key) => !this.#busyKeys.has(key) && !blocked.has(key));
      if (fits && free) {
        batch.push(group);
        events += group.texts.length;
        bytes += group.bytes;
      } else {
        left.push(group);
        for (const key of group.keys) blocked.add(key);
      }
    }
    this.#waiting = left;
    for (const group of batch) for (const key of group.keys) this.#busyKeys.add(key);
    return batch;
  }

  async #run(batch: readonly Group<R>[]): Promise<void> {
    this.#inFlight++;
    try {
      await this.#deliver(batch);
    } finally {
      this.#inFlight--;
      for (const group of batch) {
        this.#release(group);
        for (const key of group.keys) this.#busyKeys.delete(key);
      }
      if (this.#waiting.length > 0) this.#pump();
    }
  }

  async #deliver(batch: readonly Group<R>[]): Promise<void> {
    if (batch.length === 1 && batch[0]) {
      await this.#deliverAlone(batch[0]);
      return;
    }
    try {
      const results = await this.#send(batch.flatMap((group) => group.texts));
      let at = 0;
      for (const group of batch) {
        group.resolve(results.slice(at, at + group.texts.length));
        at += group.texts.length;
      }
    } catch (error) {
      // One bad event refuses the whole array: nobody shall pay for a neighbour's mistake.
      const permanent = error instanceof MemplaneError && !error.transient && error.status > 0;
      if (!permanent) for (const group of batch) group.reject(error);
      else for (const group of batch) await this.#deliverAlone(group);
    }
  }

  /** A group that is larger than a batch goes in several, one after the other. */
  async #deliverAlone(group: Group<R>): Promise<void> {
    try {
      const results: R[] = [];
      for (const texts of this.#chunks(group.texts)) results.push(...(await this.#send(texts)));
      group.resolve(results);
    } catch (error) {
      group.reject(error);
    }
  }

  *#chunks(texts: readonly string[]): Generator<readonly string[]> {
    const { batch_events_max, batch_bytes_max } = this.#options;
    let from = 0;
    let bytes = 0;
    for (const [i, text] of texts.entries()) {
      if (i > from && (i - from >= batch_events_max || bytes + text.length > batch_bytes_max)) {
        yield texts.slice(from, i);
        from = i;
        bytes = 0;
      }
      bytes += text.length;
    }
    if (from < texts.length) yield texts.slice(from);
  }

  async #send(texts: readonly string[]): Promise<R[]> {
    const results = await this.#options.send(`[${texts.join(',')}]`, texts.length);
    if (results.length === texts.length) return results;
    const message = `${texts.length} events were sent, ${results.length} were answered.`;
    throw new MemplaneError('bad_answer', message, { transient: true });
  }

  #release(group: Group<R>): void {
    this.#events -= group.texts.length;
    this.#bytes -= group.bytes;
  }
}

function aborted(signal: AbortSignal): MemplaneError {
  return new MemplaneError('aborted', 'The append was aborted before it was sent.', {
    cause: signal.reason,
  });
}
