import { MemplaneError } from '@memplane/contracts';
import type { Timers } from '@memplane/gossip';
import type { StrongStore, Versioned, WriteOutcome } from '@memplane/runtime/strong';
import type { Seeded } from '@memplane/testkit';

const DELAY_MS_MAX = 200;

/** A strong store that takes its time, and does not always say what became of a write. */
export class TestStrongStore {
  /** Replicas that do not reach it. */
  readonly away = new Set<string>();
  readonly #values = new Map<string, Versioned>();
  readonly #random: Seeded;
  readonly #timers: Timers;
  #versions = 0;

  constructor(random: Seeded, timers: Timers) {
    this.#random = random;
    this.#timers = timers;
  }

  /** As one replica has it. */
  of(id: string): StrongStore {
    return {
      get: (key) => this.#get(id, key),
      create: (key, value) => this.#write(id, key, { value, version: undefined }),
      compareAndSet: (key, value, version) => this.#write(id, key, { value, version }),
      delete: async () => ({ kind: 'conflict' }),
      close: async () => {},
    };
  }

  async #get(id: string, key: string): Promise<Versioned | undefined> {
    await this.#reach(id);
    const found = this.#values.get(key);
    await this.#reach(id);
    return found;
  }

  async #write(
    id: string,
    key: string,
    { value, version }: { readonly value: string; readonly version: string | undefined },
  ): Promise<WriteOutcome> {
    await this.#reach(id);
    if (this.#values.get(key)?.version !== version) return { kind: 'conflict' };
    const next = `${++this.#versions}`;
    this.#values.set(key, { value, version: next });
    await this.#pause();
    return this.#random.chance(0.2) ? { kind: 'unknown' } : { kind: 'written', version: next };
  }

  async #reach(id: string): Promise<void> {
    await this.#pause();
    if (this.away.has(id)) throw new MemplaneError('no_quorum', 'The store is away.');
  }

  #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#timers.after(this.#random.int(0, DELAY_MS_MAX), resolve);
    return promise;
  }
}
