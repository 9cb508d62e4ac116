import { setTimeout as sleep } from 'node:timers/promises';
import { call, type EntityView, entityPath } from '@memplane/testkit';

const EVERY_MS = 100;
const TIMEOUT_MS = 10_000;

/** How long the shards were not there: the longest wait for a read of one entity of each. */
export class ShardWatch {
  readonly #url: string;
  readonly #longest = new Map<number, number>();
  readonly #stop = new AbortController();
  readonly #watching: Promise<unknown>;

  /** @param entities one of each shard, by partition */
  constructor(materializer: string, entities: ReadonlyMap<number, string>) {
    this.#url = materializer;
    this.#watching = Promise.all([...entities].map((one) => this.#watch(...one)));
  }

  /** By partition, in ms, since the last time that this was asked. */
  take(): ReadonlyMap<number, number> {
    const taken = new Map(this.#longest);
    this.#longest.clear();
    return taken;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#watching;
  }

  /** Asks once each time, without a repetition. What is refused counts from its first question on. */
  async #watch(partition: number, entity: string): Promise<void> {
    let since: number | undefined;
    while (!this.#stop.signal.aborted) {
      since ??= performance.now();
      const answer = await call<EntityView>('GET', this.#url + entityPath(entity), {
        timeoutMs: TIMEOUT_MS,
      }).catch(() => undefined);
      if (answer?.status === 200) {
        const tookMs = performance.now() - since;
        this.#longest.set(partition, Math.max(tookMs, this.#longest.get(partition) ?? 0));
        since = undefined;
      }
      await sleep(EVERY_MS, undefined, { signal: this.#stop.signal }).catch(() => {});
    }
  }
}
